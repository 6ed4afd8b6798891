//! The network between the generator and the server: a proxy in this process, where `--impair` asks for one.

use std::net::SocketAddr;

use hyper::Uri;
use loquic_impair::{Profile, Proxy};
use tokio::net::lookup_host;

use crate::{cli::Failed, plan::Plan, report::Impaired};

/// `None` inside is the machine's own network.
pub(crate) struct Network {
    url: String,
    between: Option<(Profile, Proxy)>,
}

impl Network {
    pub(crate) async fn start(plan: &Plan) -> Result<Self, Failed> {
        let Some(profile) = plan.impair.clone() else { return Ok(Self { url: plan.url.clone(), between: None }) };
        let server = resolve(&plan.url).await?;
        let proxy = Proxy::udp(server, profile.clone(), plan.seed).await;
        let proxy = proxy.map_err(|error| Failed::tool(format_args!("cannot open the proxy of --impair: {error}")))?;
        Ok(Self { url: format!("https://{}", proxy.address()), between: Some((profile, proxy)) })
    }

    /// Where sessions go.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whether every session needs an address of its own: the proxy tells clients apart by it.
    pub(crate) fn is_impaired(&self) -> bool {
        self.between.is_some()
    }

    /// Ends it and says what it did.
    pub(crate) async fn end(self) -> Option<Impaired> {
        let (profile, proxy) = self.between?;
        Some(Impaired { profile, stats: proxy.shutdown().await })
    }
}

/// As clients have it.
const PORT_DEFAULT: u16 = 4433;

async fn resolve(url: &str) -> Result<SocketAddr, Failed> {
    let parsed: Option<Uri> = url.parse().ok().filter(|url: &Uri| url.scheme_str() == Some("https"));
    let host = parsed.as_ref().and_then(Uri::host).filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| Failed::Usage(format!("--url: {url:?} is not an address: https://host[:port]")))?;
    let port = parsed.as_ref().and_then(Uri::port_u16).unwrap_or(PORT_DEFAULT);
    let authority = format!("{host}:{port}");
    let mut found = lookup_host(&authority)
        .await
        .map_err(|error| Failed::tool(format_args!("cannot find {authority}: {error}")))?;
    found.next().ok_or_else(|| Failed::tool(format_args!("{authority} has no address")))
}
