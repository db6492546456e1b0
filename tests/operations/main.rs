//! What operators rely on: settings, access control, introspection, and that the documents tell the truth.
