//! Every firmware as one row: the lines it sends, in its own spelling and order, and what it needs
//! to hear.
//!
//! "Waits" below means that the next line is sent only after the answer; otherwise lines leave
//! together. The orders and spellings are those of the firmwares' sources.

use std::time::Duration;

use super::script::{
    ANY, Fixture,
    Step::{Answer, Hear, Mine, Pause, Quiet, Repeat, Say, Work},
};

macro_rules! subscribed {
    ($id:literal) => {
        concat!(
            r#"{"id":"#,
            $id,
            r#","result":[[["mining.set_difficulty","{session}"],["mining.notify","{session}"]],"#,
            r#""{en1}",8],"error":null}"#
        )
    };
}

macro_rules! yes {
    ($id:literal) => {
        concat!(r#"{"id":"#, $id, r#","result":true,"error":null}"#)
    };
}

macro_rules! rolling {
    ($id:literal) => {
        concat!(
            r#"{"id":"#,
            $id,
            r#","result":{"version-rolling":true,"version-rolling.mask":"1fffe000"},"error":null}"#
        )
    };
}

/// NerdMiner's document, and the pause after its first two lines.
const NERDMINER_LINE_MAX: usize = 4096;
const NERDMINER_PAUSE: Duration = Duration::from_millis(200);

/// What Avalon keeps of a user name, and what Whatsminer has room for.
const AVALON_USER_LEN: usize = 63;
const WHATSMINER_USER_LEN: usize = 127;

pub(crate) const FIXTURES: &[Fixture] = &[
    // Three lines together; its wishes only after the authorization.
    Fixture {
        name: "esp-miner",
        agent: "bitaxe/BM1370/v2.13.0",
        steps: &[
            Say(concat!(
                r#"{"jsonrpc": "2.0", "id": 1, "method": "mining.configure", "params": [["version-rolling"], {"version-rolling.mask": "ffffffff"}]}"#,
                "\n",
                r#"{"jsonrpc": "2.0", "id": 2, "method": "mining.subscribe", "params": ["bitaxe/BM1370/v2.13.0"]}"#,
                "\n",
                r#"{"jsonrpc": "2.0", "id": 3, "method": "mining.authorize", "params": ["{user}", "x"]}"#,
            )),
            Hear(rolling!("1")),
            Hear(subscribed!("2")),
            Hear(yes!("3")),
            Say(concat!(
                r#"{"jsonrpc": "2.0", "id": 4, "method": "mining.suggest_difficulty", "params": [1000]}"#,
                "\n",
                r#"{"jsonrpc": "2.0", "id": 5, "method": "mining.extranonce.subscribe", "params": []}"#,
            )),
            Work,
            Answer(yes!("4")),
            Answer(yes!("5")),
            Mine(Some(0x0155_4000)),
            Say(
                r#"{"jsonrpc": "2.0", "id": 6, "method": "mining.submit", "params": ["{user}", "{job}", "{en2}", "{ntime}", "{nonce}", "{bits}"]}"#,
            ),
            Answer(yes!("6")),
            // Its answer to a ping is a method.
            Repeat(12, r#"{"id":1,"method":"pong"}"#),
            Quiet,
        ],
        ..ANY
    },
    // The order of versions before 2.9, all in one go.
    Fixture {
        name: "esp-miner-old",
        agent: "bitaxe/BM1366/v2.4.1",
        steps: &[
            Say(concat!(
                r#"{"id": 1, "method": "mining.subscribe", "params": ["bitaxe/BM1366/v2.4.1"]}"#,
                "\n",
                r#"{"id": 2, "method": "mining.configure", "params": [["version-rolling"], {"version-rolling.mask": "ffffffff"}]}"#,
                "\n",
                r#"{"id": 3, "method": "mining.suggest_difficulty", "params": [1000]}"#,
                "\n",
                r#"{"id": 4, "method": "mining.authorize", "params": ["{user}", "x"]}"#,
            )),
            Hear(subscribed!("1")),
            Hear(rolling!("2")),
            Hear(yes!("3")),
            Hear(yes!("4")),
            Work,
            Mine(Some(0x2000)),
            Say(
                r#"{"id": 5, "method": "mining.submit", "params": ["{user}", "{job}", "{en2}", "{ntime}", "{nonce}", "{bits}"]}"#,
            ),
            Answer(yes!("5")),
        ],
        ..ANY
    },
    Fixture {
        name: "nerdqaxe",
        agent: "NerdQAxe++/BM1370/v1.0.36",
        steps: &[
            Say(concat!(
                r#"{"id": 1, "method": "mining.subscribe", "params": ["NerdQAxe++/BM1370/v1.0.36"]}"#,
                "\n",
                r#"{"id": 2, "method": "mining.configure", "params": [["version-rolling"], {"version-rolling.mask": "1fffe000"}]}"#,
                "\n",
                r#"{"id": 3, "method": "mining.authorize", "params": ["{user}", "x"]}"#,
                "\n",
                r#"{"id": 4, "method": "mining.suggest_difficulty", "params": [4000]}"#,
                "\n",
                r#"{"id": 5, "method": "mining.extranonce.subscribe", "params": []}"#,
            )),
            Hear(subscribed!("1")),
            Hear(rolling!("2")),
            Hear(yes!("3")),
            Work,
            Answer(yes!("4")),
            Answer(yes!("5")),
            Mine(Some(0x1fff_e000)),
            Say(
                r#"{"id": 6, "method": "mining.submit", "params": ["{user}", "{job}", "{en2}", "{ntime}", "{nonce}", "{bits}"]}"#,
            ),
            Answer(yes!("6")),
        ],
        ..ANY
    },
    // Pauses, then takes exactly one line for the subscription. The wish comes again and again to
    // keep the connection alive, the nonce has no leading zeros, the version is never rolled.
    Fixture {
        name: "nerdminer",
        agent: "NerdMinerV2/1.8.3",
        line_max: NERDMINER_LINE_MAX,
        steps: &[
            Say(r#"{"id": 1, "method": "mining.subscribe", "params": ["NerdMinerV2/1.8.3"]}"#),
            Pause(NERDMINER_PAUSE),
            Hear(subscribed!("1")),
            Quiet,
            Say(r#"{"params": ["{user}", "x"], "id": 2, "method": "mining.authorize"}"#),
            Pause(NERDMINER_PAUSE),
            Say(r#"{"id": 3, "method": "mining.suggest_difficulty", "params": [0.00015]}"#),
            Hear(yes!("2")),
            Work,
            Answer(yes!("3")),
            Say(r#"{"id": 4, "method": "mining.suggest_difficulty", "params": [0.00015]}"#),
            Hear(yes!("4")),
            Say(r#"{"id": 5, "method": "mining.suggest_difficulty", "params": [0.00015]}"#),
            Hear(yes!("5")),
            Quiet,
            Mine(None),
            Say(
                r#"{"id": 6, "method": "mining.submit", "params": ["{user}","{job}","{en2}","{ntime}","{short nonce}"]}"#,
            ),
            Answer(yes!("6")),
        ],
        ..ANY
    },
    // Waits. What it answers to requests that this pool may make is no request of its own.
    Fixture {
        name: "cgminer",
        agent: "cgminer/4.12.1",
        steps: &[
            Say(r#"{"id": 0, "method": "mining.subscribe", "params": ["cgminer/4.12.1"]}"#),
            Hear(subscribed!("0")),
            Say(r#"{"id": 1, "method": "mining.authorize", "params": ["{user}", "x"]}"#),
            Hear(yes!("1")),
            Work,
            Repeat(
                6,
                concat!(
                    r#"{"id": 7, "result": "pong", "error": null}"#,
                    "\n",
                    r#"{"id": 8, "result": "cgminer/4.12.1", "error": null}"#,
                    "\n",
                    r#"{"id": 9, "result": true, "error": null}"#,
                ),
            ),
            Quiet,
            Mine(None),
            Say(
                r#"{"params": ["{user}", "{job}", "{en2}", "{ntime}", "{nonce}"], "id": 2, "method": "mining.submit"}"#,
            ),
            Answer(yes!("2")),
        ],
        ..ANY
    },
    // Waits. It would like its last session back, which this pool does not know.
    Fixture {
        name: "antminer",
        agent: "Antminer S21/Thu Mar 14 16:50:34 CST 2024",
        steps: &[
            Say(
                r#"{"id": 0, "method": "mining.configure", "params": [["version-rolling"], {"version-rolling.mask": "1fffe000", "version-rolling.min-bit-count": 2}]}"#,
            ),
            Hear(rolling!("0")),
            Say(
                r#"{"id": 1, "method": "mining.subscribe", "params": ["Antminer S21/Thu Mar 14 16:50:34 CST 2024", "deadbeef"]}"#,
            ),
            Hear(subscribed!("1")),
            Say(r#"{"id": 2, "method": "mining.authorize", "params": ["{user}", "123"]}"#),
            Hear(yes!("2")),
            Work,
            Mine(Some(0x0000_6000)),
            Say(
                r#"{"params": ["{user}", "{job}", "{en2}", "{ntime}", "{nonce}", "{bits}"], "id": 3, "method": "mining.submit"}"#,
            ),
            Answer(yes!("3")),
        ],
        ..ANY
    },
    // Waits. It cuts longer user names.
    Fixture {
        name: "avalon",
        agent: "cgminer/4.11.1",
        user_len: AVALON_USER_LEN,
        steps: &[
            Say(
                r#"{"id": 0, "method": "mining.configure", "params": [["version-rolling"], {"version-rolling.mask": "ffffffff"}]}"#,
            ),
            Hear(rolling!("0")),
            Say(
                r#"{"id": 1, "method": "mining.subscribe", "params": ["cgminer/4.11.1", "0a1b2c3d"]}"#,
            ),
            Hear(subscribed!("1")),
            Say(r#"{"id": 2, "method": "mining.authorize", "params": ["{user}", "x"]}"#),
            Hear(yes!("2")),
            Work,
            Say(r#"{"id": 3, "method": "mining.ping", "params": []}"#),
            Answer(r#"{"id":3,"result":"pong","error":null}"#),
            Mine(Some(0x0040_0000)),
            Say(
                r#"{"params": ["{user}", "{job}", "{en2}", "{ntime}", "{nonce}", "{bits}"], "id": 4, "method": "mining.submit"}"#,
            ),
            Answer(yes!("4")),
        ],
        ..ANY
    },
    // A wish without an id stands before everything: an answer to it would be taken for the one to
    // the subscription.
    Fixture {
        name: "bfgminer",
        agent: "bfgminer/5.5.0",
        steps: &[
            Say(concat!(
                r#"{"id": null, "method": "mining.suggest_target", "params": ["00000000ffff0000000000000000000000000000000000000000000000000000"]}"#,
                "\n",
                r#"{"id": 0, "method": "mining.subscribe", "params": ["bfgminer/5.5.0"]}"#,
            )),
            Hear(subscribed!("0")),
            Say(concat!(
                r#"{"id": "xnsub", "method": "mining.extranonce.subscribe", "params": []}"#,
                "\n",
                r#"{"id": "auth", "method": "mining.authorize", "params": ["{user}", "x"]}"#,
            )),
            Hear(yes!(r#""xnsub""#)),
            Hear(yes!(r#""auth""#)),
            Work,
            Say(
                r#"{"id": null, "method": "mining.suggest_difficulty", "params": [0.0000000037252903]}"#,
            ),
            Quiet,
            Mine(None),
            Say(
                r#"{"params": ["{user}", "{job}", "{en2}", "{ntime}", "{nonce}"], "id": "share-0", "method": "mining.submit"}"#,
            ),
            Answer(yes!(r#""share-0""#)),
        ],
        ..ANY
    },
    // The option that it has been seen to spoil decides nothing.
    Fixture {
        name: "braiins-os",
        agent: "bosminer-plus-tuner 22.08.1-plus-d1bd8b7b",
        steps: &[
            Say(concat!(
                r#"{"id":0,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":"0x10"}]}"#,
                "\n",
                r#"{"id":1,"method":"mining.subscribe","params":["bosminer-plus-tuner 22.08.1-plus-d1bd8b7b",null,"pool.example","3333"]}"#,
                "\n",
                r#"{"id":2,"method":"mining.authorize","params":["{user}",""]}"#,
            )),
            Hear(rolling!("0")),
            Hear(subscribed!("1")),
            Hear(yes!("2")),
            Work,
            Mine(Some(0x1000_2000)),
            Say(
                r#"{"id":3,"method":"mining.submit","params":["{user}","{job}","{en2}","{ntime}","{nonce}","{bits}"]}"#,
            ),
            Answer(yes!("3")),
        ],
        ..ANY
    },
    // Waits. A time and a proof stand behind the session.
    Fixture {
        name: "nicehash",
        agent: "NiceHash/1.0.0",
        steps: &[
            Say(
                r#"{"id":1,"method":"mining.subscribe","params":["NiceHash/1.0.0",null,1763692800,"b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"]}"#,
            ),
            Hear(subscribed!("1")),
            Say(r#"{"id":2,"method":"mining.extranonce.subscribe","params":[]}"#),
            Hear(yes!("2")),
            Say(r#"{"id":3,"method":"mining.authorize","params":["{user}","x"]}"#),
            Hear(yes!("3")),
            Work,
            Mine(None),
            Say(
                r#"{"id":4,"method":"mining.submit","params":["{user}","{job}","{en2}","{ntime}","{nonce}"]}"#,
            ),
            Answer(yes!("4")),
        ],
        ..ANY
    },
    Fixture {
        name: "miningrigrentals",
        agent: "MiningRigRentals/1.0",
        steps: &[
            Say(
                r#"{"id":1,"method":"mining.subscribe","params":["MiningRigRentals/1.0","0badcafe"]}"#,
            ),
            Hear(subscribed!("1")),
            Say(concat!(
                r#"{"id":2,"method":"mining.multi_version","params":[1]}"#,
                "\n",
                r#"{"id":3,"method":"mining.extranonce.subscribe","params":[]}"#,
                "\n",
                r#"{"id":4,"method":"mining.authorize","params":["{user}","d=1000000"]}"#,
            )),
            Hear(yes!("2")),
            Hear(yes!("3")),
            Hear(yes!("4")),
            Work,
            Mine(None),
            Say(
                r#"{"id":5,"method":"mining.submit","params":["{user}","{job}","{en2}","{ntime}","{nonce}"]}"#,
            ),
            Answer(yes!("5")),
        ],
        ..ANY
    },
    // Waits. Its user name overflows beyond this length.
    Fixture {
        name: "whatsminer",
        agent: "whatsminer/v1.1",
        user_len: WHATSMINER_USER_LEN,
        steps: &[
            Say(
                r#"{"id": 1, "method": "mining.configure", "params": [["version-rolling"], {"version-rolling.min-bit-count": 2, "version-rolling.mask": "ffffffff"}]}"#,
            ),
            Hear(rolling!("1")),
            Say(r#"{"id": 2, "method": "mining.subscribe", "params": ["whatsminer/v1.1"]}"#),
            Hear(subscribed!("2")),
            Say(r#"{"id": 3, "method": "mining.authorize", "params": ["{user}", "x"]}"#),
            Hear(yes!("3")),
            Work,
            Mine(Some(0x0800_0000)),
            Say(
                r#"{"params": ["{user}", "{job}", "{en2}", "{ntime}", "{nonce}", "{bits}"], "id": 4, "method": "mining.submit"}"#,
            ),
            Answer(yes!("4")),
        ],
        ..ANY
    },
    // Waits. All its shares have the same id.
    Fixture {
        name: "cpuminer",
        agent: "cpuminer/2.5.1",
        steps: &[
            Say(r#"{"id": 1, "method": "mining.subscribe", "params": ["cpuminer/2.5.1"]}"#),
            Hear(subscribed!("1")),
            Say(r#"{"id": 2, "method": "mining.authorize", "params": ["{user}", "x"]}"#),
            Hear(yes!("2")),
            Work,
            Mine(None),
            Say(
                r#"{"method": "mining.submit", "params": ["{user}", "{job}", "{en2}", "{ntime}", "{nonce}"], "id":4}"#,
            ),
            Answer(yes!("4")),
        ],
        ..ANY
    },
    // Nothing that could be left out; a line feed comes after a carriage return.
    Fixture {
        name: "barest",
        agent: "",
        steps: &[
            Say(concat!(
                r#"{"id":1,"method":"mining.subscribe","params":[]}"#,
                "\r"
            )),
            Hear(subscribed!("1")),
            Say(concat!(
                r#"{"id":2,"method":"mining.authorize","params":["{user}"]}"#,
                "\r"
            )),
            Hear(yes!("2")),
            Work,
            Mine(None),
            Say(concat!(
                r#"{"id":3,"method":"mining.submit","params":["{user}","{job}","{en2}","{ntime}","{nonce}"]}"#,
                "\r"
            )),
            Answer(yes!("3")),
        ],
        ..ANY
    },
    // Everything that could be put in: session, host and port.
    Fixture {
        name: "fullest",
        agent: "anything/1",
        steps: &[
            Say(concat!(
                r#"{"id":1,"method":"mining.subscribe","params":["anything/1","00000001","pool.example",3333]}"#,
                "\n",
                r#"{"id":2,"method":"mining.authorize","params":["{user}","x","more",{"still":["more"]}]}"#,
            )),
            Hear(subscribed!("1")),
            Hear(yes!("2")),
            Work,
            Mine(None),
            Say(
                r#"{"id":3,"method":"mining.submit","params":["{user}","{job}","{en2}","{ntime}","{nonce}",null]}"#,
            ),
            Answer(yes!("3")),
        ],
        ..ANY
    },
];
