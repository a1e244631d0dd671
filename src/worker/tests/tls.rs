//! Pools over TLS: whose certificate is good, and what is said of one that is not.

use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use tokio::{io::copy_bidirectional, net::TcpListener};
use tokio_rustls::TlsAcceptor;

use super::*;

/// Ends TLS before a pool: its port, and the fingerprint of its certificate.
pub(super) async fn in_front_of(behind: u16) -> (u16, Fingerprint) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let certificate = made.cert.der().clone();
    let print = Fingerprint::of(&certificate);
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let mut pool = TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut pool).await;
                }
            });
        }
    });
    (port, print)
}

#[tokio::test]
async fn a_pool_is_mined_for_over_tls_where_its_fingerprint_was_named() {
    let pool = Pool::new().await;
    let (port, print) = in_front_of(pool.port()).await;
    let url = format!("stratum+ssl://127.0.0.1:{port}");
    let worker = Worker::start(&pool, quick(), |config| {
        config.urls = vec![url.clone()];
        config.tls_fingerprints = vec!["00".repeat(32).parse().unwrap(), print];
    });
    let mut miner = pool.accept().await;
    miner.shake_hands().await;
    miner.set_difficulty(easy());
    let job = miner.notify("1", true);
    let share = miner.request("mining.submit").await;
    miner.verify(&job, &share, easy());
    assert_eq!(worker.figures.borrow().pool, url);
    worker.end().await;
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused_and_its_fingerprint_told() {
    let pool = Pool::new().await;
    let (port, print) = in_front_of(pool.port()).await;
    for (pins, told) in [
        (vec![], format!("--tls-fingerprint {print}")),
        (
            vec!["ab".repeat(32).parse().unwrap()],
            format!("the certificate's fingerprint is {print}, which is not the one"),
        ),
    ] {
        let worker = Worker::start(&pool, quick(), |config| {
            config.urls = vec![format!("stratum+ssl://127.0.0.1:{port}")];
            config.tls_fingerprints = pins;
            config.fail_fast = true;
        });
        let error = format!("{:#}", worker.ended().await.unwrap_err());
        assert!(error.contains(&told), "{error}");
    }
}

#[tokio::test]
async fn a_pool_that_speaks_no_tls_is_not_spoken_to_without_it() {
    let pool = Pool::new().await;
    let port = pool.port();
    let worker = Worker::start(&pool, quick(), |config| {
        config.urls = vec![format!("stratum+ssl://127.0.0.1:{port}")];
        config.fail_fast = true;
    });
    let mut miner = pool.accept().await;
    miner.send_bytes(b"{\"id\":1,\"error\":\"what?\"}\n");
    let error = format!("{:#}", worker.ended().await.unwrap_err());
    assert!(
        error.contains("cannot connect to stratum+ssl://"),
        "{error}"
    );
}
