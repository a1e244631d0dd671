//! From a worker's block to its payment.
