//! All of it together, against daemons on real sockets.
