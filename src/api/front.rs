//! What a process answers over HTTP where its pools change: the port stays open, and each request goes to the
//! routes of the pools that run now.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    Router,
    body::Body,
    http::{Method, Request},
    routing::future::RouteFuture,
};
use tower_service::Service;

use super::{Door, Office, Problem};
use crate::{config, http, node::Node, pool::Pool, tasks::Tasks};

/// The routes of now. Clones share them.
#[derive(Clone)]
pub(crate) struct Front {
    now: Arc<RwLock<Router>>,
    /// The pools before have ended, and the next ones are not there yet.
    switching: Arc<AtomicBool>,
    /// Outlives all pools: whoever is logged in stays so.
    office: Office,
    shapes: config::Compat,
}

impl Front {
    /// Nothing is shown yet.
    pub(crate) fn new(door: &Door, shapes: &config::Compat) -> Self {
        Self {
            now: Arc::default(),
            switching: Arc::default(),
            office: door.office(),
            shapes: shapes.clone(),
        }
    }

    /// Opens the port. It serves until shutdown.
    pub(crate) fn open(&self, door: &Door, tasks: &Tasks) -> anyhow::Result<SocketAddr> {
        let routes = Router::new().fallback_service(self.clone());
        super::serve(door, routes, &tasks.on(http::threads()?))
    }

    /// While it is so, nothing that changes something is asked of pools that have ended.
    pub(crate) fn is_switching(&self, is_so: bool) {
        self.switching.store(is_so, Ordering::Release);
    }

    /// Shows these pools from now on. What their pages need runs in `tasks`.
    pub(crate) fn show(
        &self,
        pools: Vec<Pool>,
        node: Option<Node>,
        tasks: &Tasks,
    ) -> anyhow::Result<()> {
        let tasks = tasks.on(http::threads()?);
        let routes = super::of_pools(pools, node, &self.shapes, self.office.clone(), &tasks);
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = routes;
        Ok(())
    }
}

impl Service<Request<Body>> for Front {
    type Response = axum::response::Response;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let is_read = matches!(
            *request.method(),
            Method::GET | Method::HEAD | Method::OPTIONS
        );
        let path = request.uri().path();
        let is_of_node = ["/pool/", "/api/pool/", "/operator/"]
            .iter()
            .any(|own| path.starts_with(own));
        if !is_read && !is_of_node && self.switching.load(Ordering::Acquire) {
            return Router::new()
                .fallback(async || Problem::switching())
                .call(request);
        }
        let mut now = self
            .now
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        now.call(request)
    }
}
