//! Tests through the doors that users use: the real program is started, real sockets are spoken to,
//! real daemons stand behind it.

mod support;

mod attacks;
mod backup;
mod clients;
mod coinbase;
mod command;
mod crash;
mod demo;
mod door;
mod firmware;
mod init;
mod key;
mod layout;
mod limits;
mod litecoind;
mod luck;
mod miners;
mod money;
mod packaging;
mod payouts;
mod pool;
mod postgres;
mod reload;
mod rental;
mod reserve;
mod restart;
mod resume;
mod soak;
mod solo;
mod sv1;
mod top;
