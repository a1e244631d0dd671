//! `/api/v1/miners/{address}/payout-settings` and a request for a payout: what a miner wants, and the
//! proof that it is the miner who wants it.
//!
//! The text that has to be signed is made here from the fields; a text that was sent is never looked
//! at. What is cheap is checked first, then the signature, and then the store writes the change and
//! the number together.

use axum::{Json, http::StatusCode};
use mining::{
    Address, Amount,
    instruction::{BadNumber, Instruction, NUMBER_WITHIN_MS, Wish, check_number},
    message,
    payout::{NotDue, Owner, Schedule},
};
use serde::{Deserialize, Serialize};
use store::{NewSettings, PayoutSettings, Proof};
use utoipa::ToSchema;

use super::{
    miner::{Miner, OfPool, Place},
    problem::{Body, MinerProblems, Problem, WishProblems},
};
use crate::{clock, display};

/// What stands for the pool's own threshold and for the miner's own address.
const DEFAULT: &str = "default";
/// More than any coin has.
const THRESHOLD_MAX: u64 = i64::MAX.unsigned_abs();

/// How a miner is paid in each pool.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AllSettings {
    /// Its address, in the form that it is kept in.
    pub(crate) address: String,
    /// One for each pool that knows it.
    pub(crate) pools: Vec<MinerSettings>,
}

/// How a miner is paid in one pool.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MinerSettings {
    #[serde(flatten)]
    pub(crate) of: OfPool,
    /// What the balance must reach, in the smallest unit; null if the pool's own counts.
    pub(crate) threshold: Option<String>,
    /// The pool's own threshold.
    pub(crate) pool_threshold: String,
    /// The least that is ever paid, whatever the threshold.
    pub(crate) least: String,
    /// `threshold`, `daily`, `weekly` or `monthly`: how often at most.
    pub(crate) schedule: &'static str,
    /// Whether nothing is paid until this is changed again.
    pub(crate) paused: bool,
    /// Where it is paid.
    pub(crate) pay_to: String,
    /// Whether that is the miner's own address.
    pub(crate) pay_to_default: bool,
    /// Until when nothing is paid because `pay_to` was changed less than a day ago.
    pub(crate) effective_from: Option<String>,
    /// Whether a payout was asked for that is not made yet.
    pub(crate) requested: bool,
    /// When something was last changed or asked for.
    pub(crate) changed: Option<String>,
    /// The number of the last signed text, in milliseconds since 1970; the next must be above it.
    pub(crate) last_number: Option<u64>,
    /// Whether blocks of this pool pay miners by themselves, as far as a coinbase has room: where
    /// `pay_to` says, and nothing while it is paused or held; no threshold and no schedule counts.
    pub(crate) coinbase_pays: bool,
    /// `on`, `paused` (by the operator) or `off` (this pool pays nobody).
    pub(crate) payouts: &'static str,
    /// What is available would be paid the next time the pool pays.
    pub(crate) due: bool,
    /// If not, why.
    pub(crate) waits_for: Option<String>,
    /// The text by which the settings were last changed, and its signature, for whoever doubts it.
    pub(crate) proof: Option<SignedText>,
    /// Texts to sign now, with the settings as they are.
    pub(crate) to_sign: ToSign,
}

/// A text with its signature.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SignedText {
    /// The text.
    pub(crate) text: String,
    /// The signature, in base64.
    pub(crate) signature: String,
}

/// Texts to be signed with the miner's address. To change settings, change the lines and send the
/// same values.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ToSign {
    /// The number in the texts.
    pub(crate) number: u64,
    /// Until when it holds.
    pub(crate) until: String,
    /// For new settings.
    pub(crate) settings: String,
    /// For a payout.
    pub(crate) payout: String,
}

/// New settings; all of them, signed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettingsWish {
    /// The pool; may be left out where one pool alone knows the miner.
    pub(crate) pool: Option<String>,
    /// An amount in the smallest unit, or `default`.
    #[schema(example = "100000")]
    pub(crate) threshold: String,
    /// `threshold`, `daily`, `weekly` or `monthly`.
    #[schema(example = "threshold")]
    pub(crate) schedule: String,
    /// An address of the same coin, or `default` for the miner's own.
    #[schema(example = "default")]
    pub(crate) pay_to: String,
    /// Whether nothing is to be paid for the time being.
    pub(crate) paused: bool,
    /// The number in the signed text.
    pub(crate) number: u64,
    /// The signature of the text by the miner's address, in base64: legacy or BIP-322.
    pub(crate) signature: String,
}

/// A request for all that is available, signed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PayoutWish {
    /// The pool; may be left out where one pool alone knows the miner.
    pub(crate) pool: Option<String>,
    /// Not taken: a payout is always all that is available.
    #[schema(deprecated)]
    pub(crate) amount: Option<String>,
    /// The number in the signed text.
    pub(crate) number: u64,
    /// The signature of the text by the miner's address, in base64: legacy or BIP-322.
    pub(crate) signature: String,
}

/// The payout settings of a miner
///
/// Also texts that are ready to be signed.
#[utoipa::path(
    get, path = "/api/v1/miners/{address}/payout-settings", operation_id = "payout_settings", tag = "payouts",
    params(("address" = String, Path, description = "An address of a pool's coin")),
    responses((status = 200, description = "The answer.", body = AllSettings), MinerProblems)
)]
pub(crate) async fn show(miner: Miner) -> Result<Json<AllSettings>, Problem> {
    let mut pools = Vec::new();
    for place in &miner.places {
        pools.push(MinerSettings::of(place).await?);
    }
    Ok(Json(AllSettings {
        address: miner.address,
        pools,
    }))
}

/// Change the payout settings of a miner
///
/// Signed by the miner's address, also when another one is to be paid. The new settings take the
/// place of all before.
#[utoipa::path(
    put, path = "/api/v1/miners/{address}/payout-settings", operation_id = "change_payout_settings", tag = "payouts",
    params(("address" = String, Path, description = "The address that signed")),
    request_body = SettingsWish,
    responses((status = 200, description = "The answer.", body = MinerSettings), WishProblems)
)]
pub(super) async fn change(
    miner: Miner,
    Body(wish): Body<SettingsWish>,
) -> Result<Json<MinerSettings>, Problem> {
    let place = place(&miner, wish.pool.as_deref())?;
    let pay_to = pay_to(place, &wish.pay_to)?;
    let threshold = threshold(&wish.threshold)?;
    let schedule = Schedule::of_name(&wish.schedule).ok_or_else(|| {
        Problem::field(
            "bad_schedule",
            "schedule: threshold, daily, weekly or monthly",
        )
    })?;
    let signed = Wish::Settings {
        threshold,
        schedule,
        pay_to: pay_to.as_ref(),
        paused: wish.paused,
    };
    let now = clock::now_ms();
    let text = verified(place, signed, wish.number, &wish.signature, now).await?;
    let new = NewSettings {
        threshold,
        schedule,
        paused: wish.paused,
        pay_to: pay_to
            .filter(|address| *address != place.address)
            .map(|address| address.as_str().to_owned()),
    };
    let proof = Proof {
        text,
        signature: wish.signature,
    };
    let Place { pool, account, .. } = place;
    let store = &pool.store;
    store
        .change_settings(pool.id, account, &new, &proof, wish.number, now)
        .await?;
    tracing::info!(pool = pool.name, %account, "payout settings changed");
    Ok(Json(MinerSettings::of(place).await?))
}

/// Ask for a payout
///
/// All that is available is paid the next time the pool pays, whatever threshold and schedule say,
/// if it is not below the least.
#[utoipa::path(
    post, path = "/api/v1/miners/{address}/payout", operation_id = "request_payout", tag = "payouts",
    params(("address" = String, Path, description = "The address that signed")),
    request_body = PayoutWish,
    responses((status = 202, description = "It is noted.", body = MinerSettings), WishProblems)
)]
pub(super) async fn request(
    miner: Miner,
    Body(wish): Body<PayoutWish>,
) -> Result<(StatusCode, Json<MinerSettings>), Problem> {
    let place = place(&miner, wish.pool.as_deref())?;
    if wish.amount.is_some() {
        let message = "a payout is always all that is available; leave the amount out";
        return Err(Problem::field("amount_not_taken", message));
    }
    let Place { pool, account, .. } = place;
    if !pool.terms.pays {
        return Err(Problem::conflict("payouts_off", "this pool pays nobody"));
    }
    let least = pool.terms.policy.least;
    let available = pool.store.miner_balance(pool.id, account).await?.available;
    if available == Amount::ZERO || available < least {
        let unit = pool.coin.unit;
        let message = format!("{available} {unit} are available, and {least} are the least");
        return Err(Problem::conflict("too_little", message));
    }
    let now = clock::now_ms();
    verified(place, Wish::Payout, wish.number, &wish.signature, now).await?;
    pool.store
        .request_payout(pool.id, account, wish.number, now)
        .await?;
    tracing::info!(pool = pool.name, %account, "payout requested");
    let settings = MinerSettings::of(place).await?;
    Ok((StatusCode::ACCEPTED, Json(settings)))
}

/// The one pool that a wish is about.
pub(super) fn place<'m>(miner: &'m Miner, name: Option<&str>) -> Result<&'m Place, Problem> {
    match (name, &miner.places[..]) {
        (None, [only]) => Ok(only),
        (None, _) => Err(Problem::bad(
            "no_pool",
            "several pools know this miner: name one",
        )),
        (Some(name), places) => {
            let found = places.iter().find(|place| place.pool.name == name);
            found.ok_or_else(|| {
                Problem::unknown(
                    "unknown_pool",
                    "this pool is not here or knows no such miner",
                )
            })
        }
    }
}

fn pay_to(place: &Place, text: &str) -> Result<Option<Address>, Problem> {
    if text == DEFAULT {
        return Ok(None);
    }
    let address = Address::parse(place.pool.coin, place.pool.network, text);
    let bad = |error| Problem::field("bad_pay_to", format!("pay_to: {error}"));
    address.map(Some).map_err(bad)
}

fn threshold(text: &str) -> Result<Option<Amount>, Problem> {
    if text == DEFAULT {
        return Ok(None);
    }
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let units: Option<u64> = text.parse().ok();
    let units = units.filter(|units| is_plain && *units <= THRESHOLD_MAX);
    let bad = || {
        let message = "threshold: a whole number of the smallest unit, as a text, or `default`";
        Problem::field("bad_threshold", message)
    };
    Ok(Some(Amount::from_units(units.ok_or_else(bad)?)))
}

/// The text of a wish, once it is shown that the miner signed it and that its number holds.
pub(super) async fn verified(
    place: &Place,
    wish: Wish<'_>,
    number: u64,
    signature: &str,
    now_ms: i64,
) -> Result<String, Problem> {
    let Place {
        pool,
        address,
        account,
    } = place;
    let last = pool.store.payout_settings(pool.id, account).await?.number;
    check_number(number, last, now_ms).map_err(|error| match error {
        BadNumber::Used(_) => Problem::conflict("number_used", error.to_string()),
        BadNumber::Old | BadNumber::Early => {
            Problem::field("number_out_of_time", error.to_string())
        }
    })?;
    let text = instruction(place, wish, number).to_string();
    message::verify(pool.coin, pool.network, address, &text, signature).map_err(|error| {
        let message = format!("{error}; the text that has to be signed is\n{text}");
        Problem::new(StatusCode::FORBIDDEN, "not_signed", message)
    })?;
    Ok(text)
}

pub(super) fn instruction<'a>(place: &'a Place, wish: Wish<'a>, number: u64) -> Instruction<'a> {
    Instruction {
        pool: &place.pool.name,
        coin: place.pool.coin,
        network: place.pool.network,
        operator: &place.pool.terms.operator,
        address: &place.address,
        number,
        wish,
    }
}

impl MinerSettings {
    pub(super) async fn of(place: &Place) -> Result<Self, Problem> {
        let Place { pool, account, .. } = place;
        let settings = pool.store.payout_settings(pool.id, account).await?;
        let available = pool.store.miner_balance(pool.id, account).await?.available;
        let paused_by_operator = pool.store.payments_paused(pool.id).await?.is_some();
        let now = clock::now_ms();
        let policy = &pool.terms.policy;
        let to_sign = ToSign::new(place, &settings, now);
        let owner = Owner {
            account: (),
            available,
            threshold: settings.threshold,
            schedule: settings.schedule,
            paused: settings.paused,
            requested: settings.requested,
            last_paid_ms: settings.last_paid_ms,
            pay_to: settings.pay_to.clone(),
            pay_to_since_ms: settings.pay_to_since_ms,
        };
        let waits_for = owner.is_due(policy, now).err().map(|reason| match reason {
            NotDue::Below(wanted) => format!("a balance of {wanted} {}", pool.coin.unit),
            NotDue::Before(time_ms) => display::time(time_ms),
            NotDue::Paused => "the end of the miner's own pause".to_owned(),
        });
        let held = owner.held_until_ms().filter(|until| now < *until);
        Ok(Self {
            of: OfPool::new(pool),
            threshold: settings.threshold.map(|amount| amount.to_string()),
            pool_threshold: policy.threshold.to_string(),
            least: policy.least.to_string(),
            schedule: settings.schedule.name(),
            paused: settings.paused,
            pay_to_default: settings.pay_to.is_none(),
            pay_to: settings
                .pay_to
                .unwrap_or_else(|| place.address.as_str().to_owned()),
            effective_from: held.map(display::time),
            requested: settings.requested,
            changed: settings.changed_ms.map(display::time),
            last_number: Some(settings.number).filter(|number| *number > 0),
            coinbase_pays: pool.terms.accounting.split.is_some(),
            payouts: match (pool.terms.pays, paused_by_operator) {
                (false, _) => "off",
                (true, true) => "paused",
                (true, false) => "on",
            },
            due: waits_for.is_none(),
            waits_for,
            proof: settings.proof.map(|proof| SignedText {
                text: proof.text,
                signature: proof.signature,
            }),
            to_sign,
        })
    }
}

impl ToSign {
    fn new(place: &Place, settings: &PayoutSettings, now_ms: i64) -> Self {
        let now = u64::try_from(now_ms).unwrap_or(0);
        let number = now.max(settings.number.saturating_add(1));
        // Of another network, if the configuration changed: then it has to be said again.
        let pay_to = settings
            .pay_to
            .as_ref()
            .and_then(|text| Address::parse(place.pool.coin, place.pool.network, text).ok());
        let wish = Wish::Settings {
            threshold: settings.threshold,
            schedule: settings.schedule,
            pay_to: pay_to.as_ref(),
            paused: settings.paused,
        };
        let until = number.saturating_add(NUMBER_WITHIN_MS);
        Self {
            number,
            until: display::time(i64::try_from(until).unwrap_or(i64::MAX)),
            settings: instruction(place, wish, number).to_string(),
            payout: instruction(place, Wish::Payout, number).to_string(),
        }
    }
}
