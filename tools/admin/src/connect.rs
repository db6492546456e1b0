//! The way to a server: its address, who logs in there, and TLS.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::{
    Client, ClientTlsConfig, Connection, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, TlsCertificates,
};

use crate::Failure;

/// How long a connection, and an answer, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where to begin, and how to log in everywhere.
pub(crate) struct Place {
    pub(crate) start: Start,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) sentinel_password: Option<String>,
    pub(crate) tls: Tls,
}

/// Without the passwords.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("user", &self.user).field("tls", &self.tls).finish_non_exhaustive()
    }
}

/// The address that was given.
pub(crate) enum Start {
    Server { url: String },
    Sentinel { address: String, name: String },
}

#[derive(Debug, Default)]
pub(crate) struct Tls {
    /// Also where no URL says so.
    pub(crate) always: bool,
    /// PEM.
    pub(crate) cacert: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

/// A server's host and port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    pub(crate) fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// `HOST:PORT`, of an IPv6 address too.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let (host, port) = text.rsplit_once(':').ok_or_else(|| format!("{text:?} is not HOST:PORT"))?;
        let port = port.parse().map_err(|_| format!("{text:?} is not HOST:PORT"))?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Ok(Self::new(host, port))
    }

    /// As redis-cli takes it.
    pub(crate) fn cli(&self) -> String {
        format!("redis-cli -h {} -p {}", self.host, self.port)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Place {
    /// The server of `--url`.
    pub(crate) fn first(&self, url: &str) -> Result<(Address, ConnectionInfo), Failure> {
        let info = url.into_connection_info().map_err(|error| format!("--url: {error}"))?;
        let address = match info.addr() {
            ConnectionAddr::Tcp(host, port) => Address::new(host, *port),
            ConnectionAddr::TcpTls { insecure: true, .. } => {
                return Err("there is no #insecure: --cacert names the certificate authority's file".into());
            }
            ConnectionAddr::TcpTls { host, port, .. } => Address::new(host, *port),
            _ => return Err("--url: a host and a port, as redis://HOST:PORT".into()),
        };
        let mut login = info.redis_settings().clone();
        if let Some(user) = &self.user {
            login = login.set_username(user);
        }
        if let (None, Some(password)) = (login.password(), &self.password) {
            login = login.set_password(password);
        }
        let has_tls = self.tls.always || matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        let info = info.set_redis_settings(login);
        let info = if has_tls { self.with_tls(info, &address)? } else { info };
        Ok((address, info))
    }

    /// Any server, logged in as `--user` says.
    pub(crate) fn server(&self, address: &Address) -> Result<ConnectionInfo, Failure> {
        self.first(&format!("redis://{address}")).map(|(_, info)| info)
    }

    /// A Sentinel.
    pub(crate) fn sentinel(&self, address: &Address) -> Result<ConnectionInfo, Failure> {
        let info = format!("redis://{address}").into_connection_info()?;
        let mut login = info.redis_settings().clone();
        if let Some(password) = &self.sentinel_password {
            login = login.set_password(password);
        }
        let info = info.set_redis_settings(login);
        if self.tls.always { self.with_tls(info, address) } else { Ok(info) }
    }

    fn with_tls(&self, info: ConnectionInfo, address: &Address) -> Result<ConnectionInfo, Failure> {
        // rustls must not have to guess it from what else is built with it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (host, port) = (address.host.clone(), address.port);
        let info = info.set_addr(ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None });
        let read = |file: &Path| fs::read(file).map_err(|error| format!("{}: {error}", file.display()));
        let root_cert = self.tls.cacert.as_deref().map(read).transpose()?;
        let client_tls = match (&self.tls.cert, &self.tls.key) {
            (Some(cert), Some(key)) => Some(ClientTlsConfig { client_cert: read(cert)?, client_key: read(key)? }),
            _ => None,
        };
        let client = Client::build_with_tls(info, TlsCertificates { client_tls, root_cert });
        Ok(client.map_err(|error| format!("TLS: {error}"))?.get_connection_info().clone())
    }
}

/// The same way to another server.
pub(crate) fn to(info: &ConnectionInfo, address: &Address) -> ConnectionInfo {
    let host = address.host.clone();
    let addr = match info.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port: address.port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host, address.port),
    };
    info.clone().set_addr(addr)
}

/// Connects, and gives up on a server that says nothing.
pub(crate) fn open(info: &ConnectionInfo) -> Result<Connection, Failure> {
    let connection = Client::open(info.clone())?.get_connection_with_timeout(PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    Ok(connection)
}
