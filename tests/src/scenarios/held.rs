//! A head that stays while its body streams behind it, and protocols that change.

use netloom_core::{CloseReason, Code, Codec, Fault, Options, Result, Session};
use netloom_protocols::Framing;

use super::secs;
use crate::codecs::{Part, Raw, Upload};
use crate::{Blocks, Faults, OnArrays, OnBlocks, World, cancel_at_random, link, open, open_on};

const BODY: usize = 300;

/// Receives one upload through a queue smaller than its body, and sends the body back.
async fn upload(world: &World, session: &mut Session<OnBlocks, Upload>, round: u8) -> Result<()> {
    let Some(head) = session.find().await? else { panic!("it ended first") };
    session.hold();
    let mut body = 0;
    loop {
        let (part, peer) = match world.chance(80) {
            true => session.receive().await?.expect("the body goes on"),
            false => match cancel_at_random(world, session.receive()).await {
                Some(part) => part?.expect("the body goes on"),
                None => continue,
            },
        };
        match part {
            Part::Body(piece) => {
                assert!(piece.iter().all(|byte| *byte == round), "round {round}");
                body += piece.len();
                peer.send(piece).await?;
            }
            Part::End => break,
            Part::Head(line) => panic!("{line} inside a body"),
        }
    }
    assert_eq!(Upload::view(head, session.held())?, Part::Head(&format!("upload-{round} {BODY}")));
    assert_eq!(body, BODY);
    session.let_go();
    Ok(())
}

pub(super) fn a_head_stays_while_its_body_streams(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = Blocks::plenty(64);
    let mut server = open_on(&world, a, Upload::default(), &blocks);
    let mut client = open::<1024, _>(&world, b, Raw);
    let rounds = 2;
    let mut lab = world.tasks();
    lab.spawn("server", async {
        for round in 0..rounds {
            upload(&world, &mut server, round).await.expect("upload");
        }
        // What came behind the last body is the new protocol's.
        let mut server = server.switch(Framing::new());
        let (message, peer) = server.receive().await.expect("receive").expect("a frame");
        peer.send(message).await.expect("send");
        assert_eq!(message, b"hi");
        while let Some((message, peer)) = server.receive().await.expect("receive") {
            peer.send(message).await.expect("send");
        }
    });
    lab.spawn("client", async {
        for round in 0..rounds {
            client.send(format!("upload-{round} {BODY}\n").as_bytes()).await.expect("send");
            client.send(&[round; BODY]).await.expect("send");
        }
        let frame = b"\0\0\0\x02hi";
        client.send(frame).await.expect("send");
        let mut all = Vec::new();
        while all.len() < usize::from(rounds) * BODY + frame.len() {
            all.extend_from_slice(client.receive().await.expect("receive").expect("more").0);
        }
        assert_eq!(&all[usize::from(rounds) * BODY..], frame);
        assert!(
            all[..BODY].iter().all(|byte| *byte == 0) && all[BODY..2 * BODY].iter().all(|byte| *byte == 1)
        );
        client.close().await.expect("close");
    });
    lab.run(secs(25)).assert_done();
    blocks.assert_idle("at the end");
}

/// A body that is under way when the host stops is received to its end; then the session ends.
pub(super) fn a_body_under_way_is_finished_when_the_host_stops(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = Blocks::plenty(64);
    let mut server = open_on(&world, a, Upload::default(), &blocks);
    let queues = ([0; 1024], [0; 1024]);
    let mut client: Session<OnArrays<1024>, _> =
        Session::open(b, Raw, queues, world.clock().elsewhere(), Options::DEFAULT);
    let cut = world.length(BODY - 1);
    let mut lab = world.tasks();
    lab.spawn("server", async {
        upload(&world, &mut server, 0).await.expect("the body arrives whole");
        assert!(server.receive().await.expect("in order").is_none());
        assert_eq!(server.reason(), Some(CloseReason::Shutdown));
    });
    lab.spawn("client", async {
        client.send(format!("upload-0 {BODY}\n").as_bytes()).await.expect("send");
        for part in [cut, BODY - cut] {
            client.send(&vec![0; part]).await.expect("send");
            let mut back = 0;
            while back < part {
                back += client.receive().await.expect("receive").expect("more").0.len();
            }
            world.sleep(secs(2)).await;
        }
        assert!(client.receive().await.expect("in order").is_none());
    });
    lab.spawn("host", async {
        world.sleep(secs(1)).await;
        world.stop();
    });
    lab.run(secs(25)).assert_done();
    blocks.assert_idle("at the end");
}

/// A head as long as the block it came in: its body needs a larger one, and gets it.
pub(super) fn a_head_that_fills_its_block_leaves_room_for_its_body(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = Blocks::new(&[(64, 4), (1024, 4)]);
    let mut server = open_on(&world, a, Upload::default(), &blocks);
    let mut client = open::<1024, _>(&world, b, Raw);
    let head = format!("{} 100\n", "x".repeat(40 + world.below(40) as usize));
    let mut lab = world.tasks();
    lab.spawn("server", async {
        let line = server.find().await.expect("receive").expect("a head");
        server.hold();
        let mut body = 0;
        while let (Part::Body(piece), _) = server.receive().await.expect("receive").expect("more") {
            body += piece.len();
        }
        assert_eq!(Upload::view(line, server.held()), Ok(Part::Head(head.trim_end())));
        assert_eq!(body, 100);
        server.close().await.expect("close");
    });
    lab.spawn("client", async {
        client.send(head.as_bytes()).await.expect("send");
        client.send(&[b'x'; 100]).await.expect("send");
        assert!(client.receive().await.expect("in order").is_none());
    });
    lab.run(secs(25)).assert_done();
    blocks.assert_idle("at the end");
}

/// Half a body and the end of the stream is no body.
pub(super) fn half_a_body_and_the_end_is_an_error(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = Blocks::plenty(64);
    let mut server = open_on(&world, a, Upload::default(), &blocks);
    let mut client = open::<1024, _>(&world, b, Raw);
    let cut = world.below(100) as usize;
    let mut lab = world.tasks();
    lab.spawn("server", async {
        server.find().await.expect("receive").expect("a head");
        server.hold();
        let mut body = 0;
        let error = loop {
            match server.receive().await {
                Ok(Some((Part::Body(piece), _))) => body += piece.len(),
                Ok(other) => panic!("{:?} after {body} bytes of 100", other.map(|(part, _)| part)),
                Err(error) => break error,
            }
        };
        assert_eq!((error.code(), error.fault(), body), (Code::ReceiveFailed, Fault::Peer, cut));
        assert_eq!(server.close().await, Err(error));
    });
    lab.spawn("client", async {
        client.send(b"upload 100\n").await.expect("send");
        client.send(&vec![b'x'; cut]).await.expect("send");
        client.close().await.expect("close");
    });
    lab.run(secs(25)).assert_done();
    blocks.assert_idle("at the end");
}

/// A body that lasts as long as the stream ends with it, and in order.
pub(super) fn a_body_until_the_end_ends_with_the_stream(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = Blocks::plenty(64);
    let mut server = open_on(&world, a, Upload::default(), &blocks);
    let mut client = open::<1024, _>(&world, b, Raw);
    let length = world.below(100) as usize;
    let mut lab = world.tasks();
    lab.spawn("server", async {
        server.find().await.expect("receive").expect("a head");
        server.hold();
        let mut body = 0;
        loop {
            match server.receive().await.expect("receive").expect("the body goes on").0 {
                Part::Body(piece) => body += piece.len(),
                Part::End => break,
                Part::Head(line) => panic!("{line} inside a body"),
            }
        }
        assert_eq!(body, length);
        assert!(server.receive().await.expect("receive").is_none(), "nothing comes behind the end");
        assert_eq!(server.reason(), Some(CloseReason::Peer));
        server.close().await.expect("close");
    });
    lab.spawn("client", async {
        client.send(b"upload rest\n").await.expect("send");
        client.send(&vec![b'x'; length]).await.expect("send");
        client.close().await.expect("close");
    });
    lab.run(secs(25)).assert_done();
    blocks.assert_idle("at the end");
}

/// Chunks that are cut anywhere gather in one piece behind the head, in a queue that grows for them.
pub(super) fn chunks_gather_behind_a_held_head(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = Blocks::new(&[(64, 4), (1024, 4)]);
    let mut server = open_on(&world, a, Upload::default(), &blocks);
    let mut client = open::<1024, _>(&world, b, Raw);
    let chunks: Vec<Vec<u8>> = (0..10).map(|i| vec![i; world.length(20)]).collect();
    let mut bytes = b"upload chunked\n".to_vec();
    for chunk in &chunks {
        bytes.push(chunk.len() as u8);
        bytes.extend_from_slice(chunk);
    }
    bytes.push(0);
    bytes.extend_from_slice(b"next 0\n");
    let mut lab = world.tasks();
    lab.spawn("server", async {
        server.find().await.expect("receive").expect("a head");
        server.hold();
        let head = server.held().len();
        loop {
            let length = match server.receive().await.expect("receive").expect("a part").0 {
                Part::Body(piece) => piece.len(),
                _ => break,
            };
            server.keep(1..1 + length);
        }
        assert_eq!(&server.held()[..head], b"upload chunked\n");
        assert_eq!(server.held()[head..], chunks.concat());
        server.let_go();
        let (next, _) = server.receive().await.expect("receive").expect("a head");
        assert_eq!(next, Part::Head("next 0"));
        server.close().await.expect("close");
    });
    lab.spawn("client", async {
        client.send(&bytes).await.expect("send");
        assert!(client.receive().await.expect("in order").is_none());
    });
    lab.run(secs(25)).assert_done();
    blocks.assert_idle("at the end");
}
