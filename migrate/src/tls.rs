//! TLS: whom a server must be known to, and what it is shown. There is no way to take one unseen.

use std::fs;
use std::path::{Path, PathBuf};

use redis_session::redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, TlsCertificates,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::Failure;

/// How one side's servers are reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls {
    /// With TLS, whatever the URL says.
    pub(crate) always: bool,
    /// PEM: who may have signed a server's certificate. Without it, those whom the system trusts.
    pub(crate) cacert: Option<PathBuf>,
    /// PEM: the certificate that a server may ask for, and those between it and its authority.
    pub(crate) cert: Option<PathBuf>,
    /// PEM: its key.
    pub(crate) key: Option<PathBuf>,
}

impl Tls {
    /// Whether there are files to read.
    pub(crate) fn has_files(&self) -> bool {
        [&self.cacert, &self.cert, &self.key].into_iter().any(Option::is_some)
    }

    /// Whether the server of this URL is reached with TLS.
    pub(crate) fn is_for(&self, url: &str) -> bool {
        matches!(self.address(url), Ok(info) if matches!(info.addr(), ConnectionAddr::TcpTls { .. }))
    }

    /// The server of a URL, and how to connect to it.
    pub(crate) fn connection_info(&self, url: &str) -> Result<ConnectionInfo, Failure> {
        let info = self.address(url)?;
        match info.addr() {
            ConnectionAddr::TcpTls { insecure: true, .. } => {
                let why = "there is no #insecure: --cacert names the certificate authority's file";
                return Err(Failure::Usage(format!("{}: {why}", info.addr())));
            }
            ConnectionAddr::TcpTls { .. } => {}
            _ => return Ok(info),
        }
        // rustls must not have to guess it from what else is built with it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::build_with_tls(info, self.certificates()?);
        let client = client.map_err(|error| Failure::Usage(format!("TLS: {error}")))?;
        Ok(client.get_connection_info().clone())
    }

    fn address(&self, url: &str) -> Result<ConnectionInfo, Failure> {
        let info = url.into_connection_info().map_err(|error| Failure::Usage(format!("not a URL: {error}")))?;
        let address = match info.addr() {
            ConnectionAddr::Tcp(host, port) if self.always => {
                ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
            }
            address => address.clone(),
        };
        Ok(info.set_addr(address))
    }

    fn certificates(&self) -> Result<TlsCertificates, Failure> {
        let root_cert = self.cacert.as_deref().map(pem::<CertificateDer<'_>>).transpose()?;
        let client_tls = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Some(ClientTlsConfig {
                client_cert: pem::<CertificateDer<'_>>(cert)?,
                client_key: pem::<PrivateKeyDer<'_>>(key)?,
            }),
            _ => None,
        };
        Ok(TlsCertificates { client_tls, root_cert })
    }
}

/// A file that holds at least one of what it is for. One that holds none would be taken, and no server then.
fn pem<T: PemObject>(file: &Path) -> Result<Vec<u8>, Failure> {
    let wrong = |why: String| Failure::Usage(format!("{}: {why}", file.display()));
    let text = fs::read(file).map_err(|error| wrong(error.to_string()))?;
    T::from_pem_slice(&text).map_err(|error| wrong(error.to_string()))?;
    Ok(text)
}
