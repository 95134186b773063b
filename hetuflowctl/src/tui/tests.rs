//! Tests of the whole face.
