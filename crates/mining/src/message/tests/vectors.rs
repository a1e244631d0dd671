//! Signatures that others made and published.

use bitcoin::{
    hashes::{Hash, hex::FromHex, sha256d},
    transaction::Version,
};

use super::*;

/// Coin, network, address, message, signature.
type Case = (
    &'static str,
    Network,
    &'static str,
    &'static str,
    &'static str,
);

use Network::{Main, Regtest, Test};

const LEGACY: &[Case] = &[
    // Bitcoin Core, not compressed and compressed.
    (
        "bitcoin",
        Main,
        "1HUBHMij46Hae75JPdWjeZ5Q7KaL7EFRSD",
        "test message",
        "G/iew/NhHV9V9MdUEn/LFOftaTy1ivGPKPKyMlr8OSokNC755fAxpSThNRivwTNsyY9vPUDTRYBPc2cmGd5d4y4=",
    ),
    (
        "bitcoin",
        Main,
        "14dD6ygPi5WXdwwBTt1FBZK3aD8uDem1FY",
        "test message",
        "H/iew/NhHV9V9MdUEn/LFOftaTy1ivGPKPKyMlr8OSokNC755fAxpSThNRivwTNsyY9vPUDTRYBPc2cmGd5d4y4=",
    ),
    (
        "bitcoin",
        Main,
        "1DAag8qiPLHh6hMFVu9qJQm9ro1HtwuyK5",
        "",
        "IFh0InGTy8lLCs03yoUIpJU6MUbi0La/4abhVxyKcCsoUiF3RM7lg51rCqyoOZ8Yt43h8LZrmj7nwwO3HIfesiw=",
    ),
    (
        "bitcoin",
        Main,
        "1DAag8qiPLHh6hMFVu9qJQm9ro1HtwuyK5",
        " test ",
        "IA59z13/HBhvMMJtNwT6K7vJByE40lQUdqEMYhX2tnZSD+IGQIoBGE+1IYGCHCyqHvTvyGeqJTUx5ywb4StuX0s=",
    ),
    // bitcoinjs-message, each kind by BIP137.
    (
        "bitcoin",
        Main,
        "16UwLL9Risc3QfPqBUvKofHmBQ7wMtjvM",
        "vires is numeris",
        "G8JawPtQOrybrSP1WHQnQPr67B9S3qrxBrl1mlzoTJOSHEpmnF7D3+t+LX0Xei9J20B5AIdPbeL3AaTBZ4N3bY0=",
    ),
    (
        "bitcoin",
        Main,
        "1PMycacnJaSqwwJqjawXBErnLsZ7RkXUAs",
        "vires is numeris",
        "H8JawPtQOrybrSP1WHQnQPr67B9S3qrxBrl1mlzoTJOSHEpmnF7D3+t+LX0Xei9J20B5AIdPbeL3AaTBZ4N3bY0=",
    ),
    (
        "bitcoin",
        Main,
        "3JvL6Ymt8MVWiCNHC7oWU6nLeHNJKLZGLN",
        "vires is numeris",
        "JF8nHqFr3K2UKYahhX3soVeoW8W1ECNbr0wfck7lzyXjCS5Q16Ek45zyBuy1Fiy9sTPKVgsqqOuPvbycuVSSVl8=",
    ),
    (
        "bitcoin",
        Main,
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "vires is numeris",
        "KF8nHqFr3K2UKYahhX3soVeoW8W1ECNbr0wfck7lzyXjCS5Q16Ek45zyBuy1Fiy9sTPKVgsqqOuPvbycuVSSVl8=",
    ),
    (
        "dogecoin",
        Main,
        "DFpN6QqFfUm3gKNaxN6tNcab1FArL9cZLE",
        "vires is numeris",
        "H6k+dZwJ8oOei3PCSpdj603fDvhlhQ+sqaFNIDvo/bI+Xh6zyIKGzZpyud6YhZ1a5mcrwMVtTWL+VXq/hC5Zj7s=",
    ),
    // Trezor by BIP137, and for segwit with the header of a compressed key, as Electrum does.
    (
        "bitcoin",
        Main,
        "1JAd7XCBzGudGpJQSDSfpmJhiygtLQWaGL",
        "This is an example of a signed message.",
        "IP2PL321I4/N0HfVIEw+aUnCYdcAJpzvwdnS3O9rlQI2MO5hf2yKz560DI7dcEycp06kr8OT9D81tOiVgyTL3Rw=",
    ),
    (
        "bitcoin",
        Main,
        "3L6TyTisPBmrDAj6RoKmDzNnj4eQi54gD2",
        "This is an example of a signed message.",
        "I3RN5FFvrFwUCAgBVmRRajL+rZTeiXdc7H4k28JP4TMHWsCTAcTMjhl76ktkgWYdW46b8Z2Le4o4Ls21PC7gdQ0=",
    ),
    (
        "bitcoin",
        Main,
        "3L6TyTisPBmrDAj6RoKmDzNnj4eQi54gD2",
        "This is an example of a signed message.",
        "H3RN5FFvrFwUCAgBVmRRajL+rZTeiXdc7H4k28JP4TMHWsCTAcTMjhl76ktkgWYdW46b8Z2Le4o4Ls21PC7gdQ0=",
    ),
    (
        "bitcoin",
        Main,
        "bc1qannfxke2tfd4l7vhepehpvt05y83v3qsf6nfkk",
        "This is an example of a signed message.",
        "KLVddgDZ6afipJFV3fPP2455bCB/qrgzAQ+kH7eCiIm8R89iNIp6qgkjwIMqWJ+rVB6PEutU+3EckOIwfw9msZQ=",
    ),
    (
        "bitcoin",
        Main,
        "bc1qannfxke2tfd4l7vhepehpvt05y83v3qsf6nfkk",
        "This is an example of a signed message.",
        "ILVddgDZ6afipJFV3fPP2455bCB/qrgzAQ+kH7eCiIm8R89iNIp6qgkjwIMqWJ+rVB6PEutU+3EckOIwfw9msZQ=",
    ),
    (
        "bitcoin",
        Test,
        "tb1qkvwu9g3k2pdxewfqr7syz89r3gj557l3uuf9r9",
        "This is an example of a signed message.",
        "J3WLM5M5atn+SPbOgfY0EBReeytppd/B1ItebmI+keCOOvtgvaFUb5xvn7W9CkGIe3hMJmA23UtAFaCrwRN9qh0=",
    ),
    (
        "bitcoin",
        Main,
        "1GWFxtwWmNVqotUPXLcKVL2mUKpshuJYo",
        "Příšerně žluťoučký kůň úpěl ďábelské ódy zákeřný učeň běží podél zóny úlů",
        "IEagtG6BSS+C4EEsc3Abl0DmRixgNXXuLTbH17TCDw8zdjyoyzAn6o4c5eg/2otnRv6o9cgmVdeP1Bnnx2al4Xo=",
    ),
    // litecoind 0.21.2.1, `signmessagewithprivkey`.
    (
        "litecoin",
        Regtest,
        "mpLQjfK79b7CCV4VMJWEWAj5Mpx8Up5zxB",
        "This is just a test message",
        "IGve8AOjIcu+a/nYW1PABSfmp2oQlEqLIOwPgNW5/Y5teggr8S0vy4SMdjL2Viv3iuBZjJbhvyBo0tv5m3H63b8=",
    ),
];

/// The address, the message, the signature with its prefix.
const SIMPLE: &[(&str, &str, &str)] = &[
    (
        "bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l",
        "",
        "smpAkcwRAIgM2gBAQqvZX15ZiysmKmQpDrG83avLIT492QBzLnQIxYCIBaTpOaD20qRlEylyxFSeEA2ba9YOixpX8z46TSDtS40ASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI=",
    ),
    (
        "bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l",
        "",
        "smpAkgwRQIhAPkJ1Q4oYS0htvyuSFHLxRQpFAY56b70UvE7Dxazen0ZAiAtZfFz1S6T6I23MWI2lK/pcNTWncuyL8UL+oMdydVgzAEhAsfxIAMZZEKUPYWI4BruhAQjzFT8FSFSajuFwrDL1Yhy",
    ),
    (
        "bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l",
        "Hello World",
        "smpAkcwRAIgZRfIY3p7/DoVTty6YZbWS71bc5Vct9p9Fia83eRmw2QCICK/ENGfwLtptFluMGs2KsqoNSk89pO7F29zJLUx9a/sASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI=",
    ),
    (
        "bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l",
        "Hello World",
        "smpAkgwRQIhAOzyynlqt93lOKJr+wmmxIens//zPzl9tqIOua93wO6MAiBi5n5EyAcPScOjf1lAqIUIQtr3zKNeavYabHyR8eGhowEhAsfxIAMZZEKUPYWI4BruhAQjzFT8FSFSajuFwrDL1Yhy",
    ),
    (
        "bc1pss0zhytly75awhm6x2hhvd5lnzv3vssgrf9axfheq8ldyzn88ges79fler",
        "No prefix fallback",
        "smpAUCJYOwOjxYAvatTAGYaVlNXBVyFuc4MwNQkOuK2tl8xhfKDONd0NjfYyNSYcRqeCp8hsAnCEPHAVEkO9h6vbQ/R",
    ),
    (
        "bc1qqthe0hz8klx90e7stf6shclhsvqd5ly96pn53v",
        "2V6TUTMSH4VQ3Z7WZWKYD7DFNH",
        "smpAkgwRQIhALC6hdfxNy1n45d7UXSskRBdfZW0Al259E1kDMpipdYkAiAJPfZqb+WurZuf1apU5xeE6Igui9dvt5tihQLDvxlY1AEhAqbnruyo677ktQjio7XOchO3w51Dh9AbRVngha5jtNfT",
    ),
    (
        "bc1pcquvhrqv0q68t4m0hfq6tpn006qrskyc7yrqnp2uyrf2emg3wynsdjyk38",
        "PURVOQ544B6HUATVBJZN5EZJUU",
        "smpAUB6B2Rbupzua8LTQIF06516wzl+cwKy1be8RgoiW0riyXdKwe6GTz/5Hnb37m67pJwIKCh+D5jDueG6KpvYpmu8",
    ),
    // Bitcoin Core, with the hash type ALL.
    (
        "bc1ppv609nr0vr25u07u95waq5lucwfm6tde4nydujnu8npg4q75mr5sxq8lt3",
        "Hello World",
        "smpAUHd69PrJQEv+oKTfZ8l+WROBHuy9HKrbFCJu7U1iK2iiEy1vMU5EfMtjc+VSHM7aU0SDbak5IUZRVno2P5mjSafAQ==",
    ),
];

/// Signed with a lock time, as all published full ones are.
const FULL: &[(&str, &str, &str)] = &[
    (
        "13vU5PUSuArDXJdCWZvUFEbgJ2wcmtSJWn",
        "MOISC5NCQ42ADH2SUXLELUJOWH",
        "fulAgAAAAGn3Z6t/gsHNyHdgZTOVro0Hej+qbd/ilU1ACalKoHX3gAAAABqRzBEAiB+8t/tm8Jm6zYv9JGZZVlAUjmqg7ZglIA39U+bim8EKQIgDv3E5cHOagN+xYgN3ZQjTYlAJp/WyslwJWuFP1TmM3IBIQJcPK2h9SY+Ki1oussvHnMdFAhJgsYBFPl+rNcMv9P1ROAHAAABAAAAAAAAAAABauAHAAA=",
    ),
    (
        "bc1qrqtlzcq86850yzgsyq9sssawx2qxlx5yq3xpkd",
        "KLE5MMJBTNF4AVZXIO3GIL5UWF",
        "fulAgAAAAABAUrfzHHOLAKmgCIFSTT3krp+cQxj1BDPBN4GBg3tRmFXAAAAAADgBwAAAQAAAAAAAAAAAWoCSDBFAiEAjYj85zyhQKa9DbMO0reDwdhkNwKJkF3q2qFcijXDgMUCIAaQ75s3fwqrCeYIUJugLvhxZFxQIVquGN90vIKCW3QLASEDMurnDzvc0zABUwVwCADfGXoDx/M3SQnYt7e3IHDoU3PgBwAA",
    ),
    (
        "bc1pve87s3l2levjmhetzr2f9xvep3y266xty0hnefmyv8tkxc3e4qssll2kdu",
        "XQMVC3YR6AOGZIHLSUQ2NSSBI2",
        "fulAgAAAAABAROFPNY6Zt8hFK0YQq5Wb6wk/CnUYEPtQ0HTHDyzNROrAAAAAADgBwAAAQAAAAAAAAAAAWoBQNRdLOo5XZY0SBqAsLZNr/z3Bqrmo3OxVn7e4tD/OOD4H9U/L1unq5Nmdz+S1w7SHtt46bFwnd8xnRVan8BofFfgBwAA",
    ),
    (
        "32Utb7Seg6EXq7UesMNJXhQ1gdohYNyzQ9",
        "EMYGZHEY3LIANYKCR7XJF3NMFQ",
        "fulAgAAAAABAe5xLNMlYQH4OGjJ3h4lqQaVp0Cic7mwxkvyWswqFMXeAAAAABcWABSy/hpDH/KLAi4x25Tmb2UaO1xtWeAHAAABAAAAAAAAAAABagJHMEQCIDEleqb0n1R5c21TGkWRXNFae98wbwI0QOyh/YmRuQX1AiAcv1MhyTzPOVgZ1VIwuu0tDxrVJUHK8lhOUOXpsZnGwwEhAsjeDEoWX8hvEC8A/692yGQsPh6JBO8Zf4aITEQsKAcJ4AcAAA==",
    ),
];

/// Valid, but by more than one key.
const OTHER_SCRIPTS: &[(&str, &str, &str)] = &[
    (
        "bc1qp0ahvfh83088w49k405szqgg4f3pptr7p2g06tdxfjcd40z4lh4q95lsz9",
        "This will be a p2wsh 3-of-3 multisig BIP 322 signed message",
        "smpBQBHMEQCIFX9aaqPJWq2Ff2kpen5bFDTid+ehgUOpHV0LfjncXy4AiA3GNicF7aKPzdpa9PCpmaYQs3pHd+qbvvhXdxOCKCAMAFIMEUCIQD/ELXg6CNYyUQijCg96JtgvgjZb9dsl1Ctof4QAeyTcQIgVM/1AAblFl/DCt6A1gJg+T/i2qU5SQD09+chFJzolRwBSDBFAiEAlqRfSFyWNVQhvaCnmeV5tyneiCWMTcFbuujoD/pFa3wCIGnZjfQb8NolSYq9asV+ZeBSkCGHJcqnaV4JYS5MYPEGAWlTIQJ1aLEfEi/4p7wcV+XHZCBVvGGJZ7L3v+jhH+mZA8lN0yECCovfec+kIdllXpKCgA8RX/HZ2x5yHOtCSKP8/sf6pnwhAwxSng6kCgCXXSAmJOOZFdr3vdK3HzGqCFloOHgc5fM6U64=",
    ),
    (
        "bc1qg8r3cl47rrr75dwvr7jhzdukptegnmq8v0nmjd2jdn4qvlczqkts0rqtav",
        "QXYOWYWO7ZGJC4OPNC367HBUQF",
        "fulAgAAAAABAXshuDM6YKy1LClwk1ZOM5egX7RTFPOCvtxJkYFYk/FEAAAAAADgBwAAAQAAAAAAAAAAAWoEAEgwRQIhAI9uOxvqmBV0pldOoKWnSYhjobNhP4F+gxO0QlOdGtxFAiBROcNruLigZE4lj1DJEh8yGrqS00MeW463EO78TsaRFgFIMEUCIQCAhIqYuU4wDA2AYsU+QDVyucH4Tm/NSDP2+txyPMKEkAIgfuGlSh7ncxb2yV3S3aOF5uwHGqtIZjp3b4HW0d35EckBR1IhAkT3y4QqTOTzUs5AYq5eCl1g1vqgsHtiwgY0hKpSl7vOIQI07tYZDvxHcWuVOgULVj+LK1I63eqVWuQzUd0qkqpJ9FKu4AcAAA==",
    ),
];

/// The message, its hash, the ids of both transactions.
const HASHES: &[(&str, &str, &str, &str)] = &[
    (
        "",
        "c90c269c4f8fcbe6880f72a721ddfbf1914268a794cbb21cfafee13770ae19f1",
        "c5680aa69bb8d860bf82d4e9cd3504b55dde018de765a91bb566283c545a99a7",
        "1e9654e951a5ba44c8604c4de6c67fd78a27e81dcadcfe1edf638ba3aaebaed6",
    ),
    (
        "Hello World",
        "f0eb03b1a75ac6d9847f55c624a99169b5dccba2a31f5b23bea77ba270de0a7a",
        "b79d196740ad5217771c1098fc4a4b51e0535c32236c71f1ea4d61a2d603352b",
        "88737ae86f2077145f93cc4b153ae9a1cb8d56afa511988c149c5c8c9d93bddf",
    ),
    (
        "UTF-8 support: öäüéàè 测试文本 😄",
        "43936b237ea38c7794eb5d755e0d220b6db92ebfc5c8f482759d22b1286376d7",
        "c8f4f525fe8afb1bc09b44175bd2096f079c98425e8a1be676b712add1fb62f0",
        "8f488e06b89eafd019ec528109eafaf7f1d1811fd617aa1eeb9658f1c1be6586",
    ),
];

#[test]
fn signed_messages_of_known_wallets_are_accepted() {
    for &(coin, network, address, message, signature) in LEGACY {
        let verified = check(coin, network, address, message, signature);
        assert_eq!(verified, Ok(()), "{address} {signature}");
        let other = check(coin, network, address, "something else", signature);
        assert_eq!(other, Err(BadSignature::OtherKey), "{address} {signature}");
    }
}

#[test]
fn the_digest_of_a_signed_message_is_that_of_others() {
    for (coin, message, digest) in [
        (
            "bitcoin",
            "Vires is Numeris",
            "f8a5affbef4a3241b19067aa694562f64f513310817297089a8929a930f4f933",
        ),
        (
            "dogecoin",
            "Vires is Numeris",
            "c0963d20d0accd0ea0df6c1020bf85a7e629a40e7b5363f2c3e9dcafd5638f12",
        ),
    ] {
        let expected = sha256d::Hash::from_byte_array(FromHex::from_hex(digest).unwrap());
        assert_eq!(legacy::digest(coin.parse().unwrap(), message), expected);
    }
}

#[test]
fn hashes_and_transaction_ids_are_those_of_bip322() {
    let address = address(
        "bitcoin",
        Main,
        "bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l",
    );
    let script = Script::from_bytes(address.script().unwrap());
    for (message, hash, to_spend, to_sign) in HASHES {
        assert_eq!(bip322::message_hash(message).to_string(), *hash);
        let spent = bip322::to_spend(script, message);
        assert_eq!(spent.compute_txid().to_string(), *to_spend);
        let signed = bip322::to_sign(script, message, Version(0));
        assert_eq!(signed.compute_txid().to_string(), *to_sign);
    }
}

#[test]
fn simple_signatures_of_bip322_are_accepted_with_and_without_their_prefix() {
    for (address, message, signature) in SIMPLE {
        let bare = signature.strip_prefix("smp").unwrap();
        for signature in [signature, bare] {
            let verified = check("bitcoin", Main, address, message, signature);
            assert_eq!(verified, Ok(()), "{address} {signature}");
            let other = check("bitcoin", Main, address, "something else", signature);
            assert!(
                matches!(
                    other,
                    Err(BadSignature::OtherMessage | BadSignature::OtherKey)
                ),
                "{other:?}"
            );
            let owner_of_none = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq";
            let other = check("bitcoin", Main, owner_of_none, message, signature);
            assert!(other.is_err(), "{address} {signature}");
        }
        // A witness is no transaction.
        let full = check("bitcoin", Main, address, message, &format!("ful{bare}"));
        assert_eq!(full, Err(BadSignature::Form));
    }
}

#[test]
fn full_signatures_of_bip322_hold_but_for_their_lock_time() {
    for (text, message, signature) in FULL {
        let address = address("bitcoin", Main, text);
        let script = Script::from_bytes(address.script().unwrap());
        let kind = Kind::of("bitcoin".parse().unwrap(), script).unwrap();
        let bytes = BASE64_STANDARD.decode(&signature[3..]).unwrap();
        let signed: Transaction = consensus::deserialize(&bytes).unwrap();
        assert_eq!(bip322::verify_spend(kind, script, &signed), Ok(()));
        for signature in [signature, &signature[3..]] {
            let verified = check("bitcoin", Main, text, message, signature);
            assert_eq!(verified, Err(BadSignature::TimeLock), "{text}");
            let other = check("bitcoin", Main, text, "something else", signature);
            assert_eq!(other, Err(BadSignature::OtherMessage), "{text}");
        }
        // A transaction is no witness.
        let simple = format!("smp{}", &signature[3..]);
        let simple = check("bitcoin", Main, text, message, &simple);
        assert_eq!(simple, Err(BadSignature::Form));
    }
}

#[test]
fn addresses_of_several_keys_cannot_sign_yet() {
    for (address, message, signature) in OTHER_SCRIPTS {
        let verified = check("bitcoin", Main, address, message, signature);
        let refusal = BadSignature::CannotSign("an address of the kind P2WSH");
        assert_eq!(verified, Err(refusal));
    }
}

#[test]
fn what_bip322_calls_an_error_is_one() {
    let address = "bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l";
    for (signature, refusal) in [
        ("not-valid-base64!!!", BadSignature::Base64),
        ("", BadSignature::Form),
        ("smp", BadSignature::Form),
        ("fooAA==", BadSignature::Base64),
        ("pofAA==", BadSignature::CannotSign("a proof of funds")),
        (
            "smpAA==",
            BadSignature::Rule("something else in its witness than this kind of address needs"),
        ),
    ] {
        let verified = check("bitcoin", Main, address, "", signature);
        assert_eq!(verified, Err(refusal), "{signature}");
    }
}

/// Old wallets made such; whoever sees one could make its twin.
#[test]
fn a_published_signature_with_a_high_s_is_refused() {
    for (address, message, signature) in [
        (
            "18uitB5ARAhyxmkN2Sa9TbEuoGN1he83BX",
            "testtest",
            "IMAtT1SjRyP6bz6vm5tKDTTTNYS6D8w2RQQyKD3VGPq2i2txGd2ar18L8/nvF1+kAMo5tNc4x0xAOGP0HRjKLjc=",
        ),
        (
            "16vqGo3KRKE9kTsTZxKoJKLzwZGTodK3ce",
            "test message",
            "HPDs1TesA48a9up4QORIuub67VHBM37X66skAYz0Esg23gdfMuCTYDFORc6XGpKZ2/flJ2h/DUF569FJxGoVZ50=",
        ),
    ] {
        let verified = check("bitcoin", Main, address, message, signature);
        assert_eq!(verified, Err(BadSignature::Rule(HIGH_S)));
    }
}
