//! What an application keeps with a session: a value with named fields, each a field of the session, as JSON.

use redis_session::SessionData;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::DataError;

/// A session's fields, before they are sealed or after they were opened.
pub(crate) type Fields = Vec<(String, Vec<u8>)>;

/// What a JSON error says, without what it was about.
fn json(error: &serde_json::Error) -> DataError {
    DataError::Json(match error.classify() {
        serde_json::error::Category::Data => error.to_string(),
        _ => "not JSON".to_owned(),
    })
}

pub(crate) fn write<T: Serialize + ?Sized>(data: &T) -> Result<Fields, DataError> {
    match serde_json::to_value(data).map_err(|error| DataError::Json(error.to_string()))? {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| Ok((name, serde_json::to_vec(&value).map_err(|error| json(&error))?)))
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
    serde_json::from_value(Value::Object(fields)).map_err(|error| json(&error))
}

/// The fields as they are.
pub(crate) fn plain(data: &SessionData) -> Result<Fields, DataError> {
    data.iter().map(|(name, value)| Ok((name_of(name)?, value.to_vec()))).collect()
}

pub(crate) fn name_of(name: &[u8]) -> Result<String, DataError> {
    std::str::from_utf8(name).map(str::to_owned).map_err(|_| DataError::Name)
}
