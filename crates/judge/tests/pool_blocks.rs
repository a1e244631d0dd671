#[test] fn x(){ let _=bitcoinkernel::ChainType::Regtest; }
