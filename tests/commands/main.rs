//! What each command does and answers, over real connections.
