//! The application's data of a session: a value with named fields. Each is a field of the session, stored as JSON.

use redis_session::SessionData;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::DataError;

/// A session's fields, before sealing or after opening.
pub(crate) type Fields = Vec<(String, Vec<u8>)>;

/// The JSON error, in terms of the expected type. It shows nothing of the value.
fn unreadable(error: &serde_json::Error) -> DataError {
    let text = error.to_string();
    DataError::Json(match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("a value is not what was asked for: expected {expected}"),
        None if text.starts_with("missing field `") => text,
        None => "the fields are not those that were asked for".to_owned(),
    })
}

pub(crate) fn write<T: Serialize + ?Sized>(data: &T) -> Result<Fields, DataError> {
    let unwritable = |_| DataError::Json("the value cannot be written".to_owned());
    match serde_json::to_value(data).map_err(unwritable)? {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| Ok((name, serde_json::to_vec(&value).map_err(unwritable)?)))
            .collect(),
        _ => Err(DataError::NoFields),
    }
}

pub(crate) fn read<T: DeserializeOwned>(fields: Fields) -> Result<T, DataError> {
    let fields: Map<_, _> = fields
        .into_iter()
        .map(|(name, value)| {
            let json = serde_json::from_slice(&value);
            (name, json.unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&value).into_owned())))
        })
        .collect();
    serde_json::from_value(Value::Object(fields)).map_err(|error| unreadable(&error))
}

/// The fields, unchanged.
pub(crate) fn plain(data: &SessionData) -> Result<Fields, DataError> {
    data.iter().map(|(name, value)| Ok((name_of(name)?, value.to_vec()))).collect()
}

pub(crate) fn name_of(name: &[u8]) -> Result<String, DataError> {
    std::str::from_utf8(name).map(str::to_owned).map_err(|_| DataError::Name)
}
