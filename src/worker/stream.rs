//! What carries a pool's bytes: a socket, plain or under TLS.
//!
//! Whom a pool's certificate must convince: the authorities that browsers trust, or, where the user has
//! named fingerprints, nobody but those, as most pools sign their certificate themselves.

use std::{fmt, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::endpoint::Endpoint;
use crate::listener::Fingerprint;

/// Either.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects, and shakes hands where the endpoint is one of TLS. `limit` is for all of it.
pub(super) async fn connect(
    endpoint: &Endpoint,
    pins: &[Fingerprint],
    limit: Duration,
) -> anyhow::Result<Box<dyn Stream>> {
    let connected = timeout(limit, connect_patiently(endpoint, pins)).await;
    connected.map_err(|_| anyhow!("no connection to {endpoint} in {limit:?}"))?
}

async fn connect_patiently(
    endpoint: &Endpoint,
    pins: &[Fingerprint],
) -> anyhow::Result<Box<dyn Stream>> {
    let connecting = TcpStream::connect((endpoint.host(), endpoint.port()));
    let cannot = || format!("cannot connect to {endpoint}");
    let stream = connecting.await.with_context(cannot)?;
    stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
    if !endpoint.is_tls() {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(endpoint.host().to_owned()).with_context(cannot)?;
    let connector = TlsConnector::from(Arc::new(config(pins)?));
    let stream = connector.connect(name, stream).await.with_context(cannot)?;
    Ok(Box::new(stream))
}

fn config(pins: &[Fingerprint]) -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let roots = Arc::new(RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    });
    let authorities = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .context("no authorities for TLS")?;
    let verifier = Verifier {
        authorities,
        pins: pins.to_vec(),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("no TLS")?;
    // The verifier below is stricter than the usual one where it differs.
    let config = config
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok(config.with_no_client_auth())
}

/// Whose certificate is good.
struct Verifier {
    authorities: Arc<WebPkiServerVerifier>,
    pins: Vec<Fingerprint>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("pins", &self.pins)
            .finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let print = Fingerprint::of(certificate);
        if self.pins.is_empty() {
            let authorities = &self.authorities;
            let verified = authorities.verify_server_cert(certificate, chain, name, ocsp, now);
            return verified.map_err(|error| {
                rustls::Error::General(format!(
                    "{error}; to trust this certificate alone: --tls-fingerprint {print}"
                ))
            });
        }
        if self.pins.contains(&print) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General(format!(
            "the certificate's fingerprint is {print}, which is not the one that was named"
        )))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let authorities = &self.authorities;
        authorities.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let authorities = &self.authorities;
        authorities.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}
