//! Who alone may mine at a listener, because its blocks pay nobody else. Made of the settings by `pool::plan`.

use mining::{Address, Coin, Scheme};

/// Who alone may mine at a listener of this scheme; nothing where everybody may. `operator` is whom blocks pay,
/// `default` who is meant by a name without an address. An error is a setting that helps nobody.
pub(super) fn only_address(
    scheme: Scheme,
    coin: &Coin,
    operator: &Address,
    default: Option<&Address>,
) -> Result<Option<Address>, String> {
    // Elsewhere the pool makes a coinbase for each miner.
    if scheme != Scheme::Solo || coin.cryptonote().is_none() {
        return Ok(None);
    }
    let daemon = format!("scheme solo: the daemon of {} makes the blocks", coin.name);
    if operator.payment_id().is_some() {
        return Err(format!(
            "{daemon}, and they bear no payment id: payout_address must not have one"
        ));
    }
    if default.is_some_and(|default| default != operator) {
        return Err(format!(
            "{daemon}, and they pay payout_address alone: default_address can be no other one"
        ));
    }
    Ok(Some(operator.clone()))
}

#[cfg(test)]
mod tests {
    use mining::{
        Network,
        cryptonote::{base58, keccak::keccak256},
    };

    use super::*;

    const STANDARD: u8 = 18;
    const INTEGRATED: u8 = 19;
    const SUBADDRESS: u8 = 42;

    /// An address of Monero's main network with these keys: a point of the curve for both.
    fn monero(tag: u8, more: &[u8]) -> Address {
        let point = [&[0x58][..], &[0x66; 31]].concat();
        let payload = [&[tag][..], &point, &point, more].concat();
        let sum = keccak256(&[&payload]);
        let text = base58::encode(&[&payload, &sum[..4]].concat());
        Address::parse("monero".parse().unwrap(), Network::Main, &text).unwrap()
    }

    fn only(
        scheme: Scheme,
        operator: &Address,
        default: Option<&Address>,
    ) -> Result<Option<Address>, String> {
        only_address(scheme, "monero".parse().unwrap(), operator, default)
    }

    #[test]
    fn a_solo_listener_of_monero_is_for_the_address_that_its_blocks_pay() {
        let operator = monero(STANDARD, &[]);
        assert_eq!(
            only(Scheme::Solo, &operator, None),
            Ok(Some(operator.clone()))
        );
        assert_eq!(
            only(Scheme::Solo, &operator, Some(&operator)),
            Ok(Some(operator.clone()))
        );
        for scheme in Scheme::ALL
            .into_iter()
            .filter(|scheme| *scheme != Scheme::Solo)
        {
            assert_eq!(only(scheme, &operator, None), Ok(None), "{}", scheme.name());
        }
    }

    #[test]
    fn coins_whose_coinbases_the_pool_makes_let_everybody_mine_solo() {
        let text = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
        for name in ["bitcoin", "vision"] {
            let coin: &Coin = name.parse().unwrap();
            let address = Address::parse(coin, Network::Regtest, text).unwrap();
            assert_eq!(
                only_address(Scheme::Solo, coin, &address, None),
                Ok(None),
                "{name}"
            );
        }
    }

    #[test]
    fn settings_by_which_nobody_could_mine_are_refused() {
        let (operator, integrated) = (monero(STANDARD, &[]), monero(INTEGRATED, &[7; 8]));
        let told = only(Scheme::Solo, &integrated, None).unwrap_err();
        assert!(told.contains("payment id"), "{told}");
        for other in [integrated, monero(SUBADDRESS, &[])] {
            let told = only(Scheme::Solo, &operator, Some(&other)).unwrap_err();
            assert!(told.contains("default_address"), "{told}");
        }
        // Who shares a round may be paid at any address.
        assert_eq!(
            only(Scheme::Prop, &monero(INTEGRATED, &[7; 8]), None),
            Ok(None)
        );
    }
}
