//! TLS as a miner speaks it: a certificate made for the test, and a real client that trusts no
//! other.

use std::{fs, net::TcpStream, path::Path, sync::Arc};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    pki_types::{CertificateDer, ServerName},
    version::{TLS12, TLS13},
};

use super::{
    PATIENCE, loopback,
    transport::{Duplex, Transport},
    wait_for,
};

/// A connection under TLS.
pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// TLS to a pool that has this certificate.
pub(crate) struct Tls {
    pub(crate) certificate: CertificateDer<'static>,
}

impl Transport for Tls {
    fn connect(&self, port: u16) -> Box<dyn Duplex> {
        let socket = wait_for("the pool's port", || {
            TcpStream::connect(loopback(port)).ok()
        });
        Box::new(shake_hands(socket, client(&self.certificate, BOTH)))
    }
}

impl Duplex for TlsStream {
    fn socket(&self) -> &TcpStream {
        &self.sock
    }
}

/// A certificate of its own, written where [`settings`] lets the pool find it.
pub(crate) fn write_certificate(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    fs::write(folder.join("certificate.pem"), made.cert.pem()).unwrap();
    made.cert.der().clone()
}

/// The lines of `[[pool.listener]]` for the certificate in `folder`.
pub(crate) fn settings(mode: &str, folder: &Path) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    let (chain, key) = (path("certificate.pem"), path("key.pem"));
    format!("tls = \"{mode}\"\ntls_certificate = \"{chain}\"\ntls_key = \"{key}\"\n")
}

/// The versions that the pool speaks.
pub(crate) const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// A client that trusts this certificate and no other.
pub(crate) fn client(
    certificate: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    ClientConnection::new(Arc::new(config), name).unwrap()
}

/// The connection once its handshake is over.
pub(crate) fn shake_hands(mut socket: TcpStream, mut client: ClientConnection) -> TlsStream {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    while client.is_handshaking() {
        client.complete_io(&mut socket).unwrap();
    }
    StreamOwned::new(client, socket)
}
