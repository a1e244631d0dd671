//! Tests through the doors that users use: the real program is started, real sockets are spoken to,
//! real daemons stand behind it.

mod support;

mod attacks;
mod clients;
mod coinbase;
mod command;
mod crash;
mod dashboard;
mod demo;
mod door;
mod firmware;
mod http;
mod key;
mod layout;
mod limits;
mod litecoind;
mod luck;
mod miners;
mod money;
mod names;
mod operator;
mod payouts;
mod pool;
mod postgres;
mod reserve;
mod resume;
mod soak;
mod solo;
mod sv1;
