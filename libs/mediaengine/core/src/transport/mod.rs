//! One remote peer's way in and out: its sockets, and whom they believe.

pub mod gate;
pub mod pair;
pub mod security;
