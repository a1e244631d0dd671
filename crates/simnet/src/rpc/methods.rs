//! The list of methods: name, parameters, and the function that answers.

use serde_json::Value;

use super::{
    arguments::Arguments, blockchain, error::RpcError, mining, network, payments, psbt, scan,
    simnet, transactions, wallet,
};
use crate::node::Node;

/// A method of the RPC.
pub(crate) struct Method {
    pub(crate) name: &'static str,
    pub(crate) parameters: &'static [&'static str],
    /// How many of the parameters must be there.
    pub(crate) required: usize,
    pub(crate) run: fn(&Node, &Arguments) -> Result<Value, RpcError>,
}

impl Method {
    /// The line `help` prints.
    pub(crate) fn usage(&self) -> String {
        let mut usage = self.name.to_owned();
        for (index, parameter) in self.parameters.iter().enumerate() {
            usage.push_str(if index < self.required { " " } else { " ( " });
            usage.push_str(parameter);
            usage.push_str(if index < self.required { "" } else { " )" });
        }
        usage
    }
}

macro_rules! methods {
    ($($module:ident::$name:ident($($required:ident),*; $($optional:ident),*))*) => {
        &[$(Method {
            name: stringify!($name),
            parameters: &[$(stringify!($required),)* $(stringify!($optional),)*],
            required: <[&str]>::len(&[$(stringify!($required)),*]),
            run: $module::$name,
        }),*]
    };
}

pub(crate) static METHODS: &[Method] = methods! {
    blockchain::getbestblockhash(;)
    blockchain::getblock(blockhash; verbosity)
    blockchain::getblockchaininfo(;)
    blockchain::getblockcount(;)
    blockchain::getblockhash(height;)
    blockchain::getblockheader(blockhash; verbose)
    blockchain::getchaintips(;)
    blockchain::getdifficulty(;)
    blockchain::gettxout(txid, n; include_mempool)
    blockchain::gettxoutsetinfo(;)
    blockchain::invalidateblock(blockhash;)
    blockchain::reconsiderblock(blockhash;)
    blockchain::waitfornewblock(; timeout, current_tip)
    mining::generatetoaddress(nblocks, address; maxtries)
    mining::getblocktemplate(; template_request)
    mining::getmininginfo(;)
    mining::getnetworkhashps(; nblocks, height)
    mining::submitblock(hexdata; dummy)
    mining::submitheader(hexdata;)
    network::getconnectioncount(;)
    network::getnetworkinfo(;)
    network::getpeerinfo(;)
    network::getzmqnotifications(;)
    network::help(; command)
    network::ping(;)
    network::stop(; wait)
    network::uptime(;)
    network::validateaddress(address;)
    payments::createrawtransaction(inputs, outputs; locktime, replaceable)
    payments::fundrawtransaction(hexstring; options, iswitness)
    payments::sendmany(dummy, amounts; minconf, comment, subtractfeefrom, replaceable, conf_target, estimate_mode, fee_rate, verbose)
    payments::sendtoaddress(address, amount; comment, comment_to, subtractfeefromamount, replaceable, conf_target, estimate_mode, avoid_reuse, fee_rate, verbose)
    payments::signrawtransactionwithwallet(hexstring; prevtxs, sighashtype)
    psbt::combinepsbt(txs;)
    psbt::decodepsbt(psbt;)
    psbt::finalizepsbt(psbt; extract)
    psbt::walletcreatefundedpsbt(inputs, outputs; locktime, options, bip32derivs)
    psbt::walletprocesspsbt(psbt; sign, sighashtype, bip32derivs, finalize)
    scan::estimatesmartfee(conf_target; estimate_mode)
    scan::scantxoutset(action; scanobjects)
    simnet::simnet_fault(kind; options)
    simnet::simnet_reorganise(depth;)
    transactions::decoderawtransaction(hexstring; iswitness)
    transactions::getmempoolentry(txid;)
    transactions::getmempoolinfo(;)
    transactions::getrawmempool(; verbose, mempool_sequence)
    transactions::getrawtransaction(txid; verbosity, blockhash)
    transactions::sendrawtransaction(hexstring; maxfeerate, maxburnamount)
    transactions::testmempoolaccept(rawtxs; maxfeerate)
    wallet::getaddressinfo(address;)
    wallet::getbalance(; dummy, minconf, include_watchonly, avoid_reuse)
    wallet::getbalances(;)
    wallet::getnewaddress(; label, address_type)
    wallet::getrawchangeaddress(; address_type)
    wallet::gettransaction(txid; include_watchonly, verbose)
    wallet::getwalletinfo(;)
    wallet::listlockunspent(;)
    wallet::listsinceblock(; blockhash, target_confirmations, include_watchonly, include_removed)
    wallet::listtransactions(; label, count, skip, include_watchonly)
    wallet::listunspent(; minconf, maxconf, addresses, include_unsafe, query_options)
    wallet::listwallets(;)
    wallet::loadwallet(filename; load_on_startup)
    wallet::lockunspent(unlock; transactions, persistent)
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_listed_once_and_in_order_within_their_file() {
        let mut names: Vec<_> = METHODS.iter().map(|method| method.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn usage_tells_what_is_required() {
        let method = METHODS
            .iter()
            .find(|method| method.name == "getblock")
            .unwrap();
        assert_eq!(method.usage(), "getblock blockhash ( verbosity )");
    }
}
