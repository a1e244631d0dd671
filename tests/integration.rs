//! Tests through the doors that users use: the real program is started, real sockets are spoken to,
//! real daemons stand behind it.

mod support;

mod alerts;
mod appstores;
mod attacks;
mod backup;
mod browser;
mod clients;
mod coinbase;
mod command;
mod compat;
mod crash;
mod dashboard;
mod demo;
mod door;
mod firmware;
mod http;
mod init;
mod key;
mod layout;
mod limits;
mod litecoind;
mod load;
mod luck;
mod miners;
mod monerod;
mod money;
mod names;
mod openapi;
mod operator;
mod packaging;
mod payouts;
mod pool;
mod postgres;
mod receipts;
mod reload;
mod rental;
mod reserve;
mod restart;
mod resume;
mod soak;
mod solo;
mod sv1;
mod top;
mod work;
