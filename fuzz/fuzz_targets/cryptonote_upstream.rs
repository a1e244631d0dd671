//! Any line from a pool of Monero's gives a miner a message or an error, and a job has its bounds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mining::cryptonote::ShareTarget;
use wire::cryptonote::{Notice, ServerMessage};

fn check(job: &Notice) {
    assert!((43..=407).contains(&job.blob.len()) && !job.job_id.is_empty());
    assert!(ShareTarget::read(job.target.as_slice()).is_ok());
}

fuzz_target!(|line: &[u8]| match ServerMessage::parse(line) {
    Ok(ServerMessage::Job(job)) => check(&job),
    Ok(ServerMessage::Response(response)) => {
        let _ = response.accepted();
        if let Ok(logged_in) = response.logged_in() {
            check(&logged_in.job);
        }
        if let Ok(Some(job)) = response.job() {
            check(&job);
        }
    }
    Ok(_) | Err(_) => {}
});
