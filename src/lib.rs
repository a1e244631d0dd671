//! adit
