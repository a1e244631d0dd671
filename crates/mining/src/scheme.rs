//! How a pool or one of its listeners pays. A share bears the scheme of the listener it came to, and a
//! block is split among those who are paid as its finder is.

/// How miners are credited.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// By the last so many hashes before a block.
    #[default]
    Pplns,
    /// By the work of the round: since the block before.
    Prop,
    /// For each share, by what a block's subsidy makes it worth.
    Pps,
    /// For each share, by subsidy and average fees.
    Fpps,
    /// All to the miner that solved the block.
    Solo,
}

impl Scheme {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Pplns, Self::Prop, Self::Pps, Self::Fpps, Self::Solo];

    /// The scheme of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name)
    }

    /// The name in the configuration, the API and the dashboard.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pplns => "pplns",
            Self::Prop => "prop",
            Self::Pps => "pps",
            Self::Fpps => "fpps",
            Self::Solo => "solo",
        }
    }

    /// Whether shares are paid for as they come, and blocks go to the reserve.
    pub fn pays_for_shares(self) -> bool {
        matches!(self, Self::Pps | Self::Fpps)
    }
}
