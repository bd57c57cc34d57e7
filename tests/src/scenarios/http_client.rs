//! A client with a board's queues against a server: any answers, however they are cut.

use netloom_core::Session;
use netloom_protocols::http1::{self, Content, Http1, Http1Client, Request, RequestOut, Response};
use netloom_protocols::routes;

use super::secs;
use crate::{Blocks, Faults, OnArrays, OnBlocks, World, link, open, open_on};

/// Answers what a client asks for in each way that there is.
async fn serve(session: &mut Session<OnBlocks, Http1>) -> netloom_core::Result<()> {
    let app = routes! {
        GET "/whole/{length}" => async |request: Request<'_>| {
            let (head, reply) = request.split();
            reply.bytes("text/plain", &vec![b'w'; head.param("length")?]).await
        },
        GET "/chunked/{length}" => async |request: Request<'_>| {
            let (head, reply) = request.split();
            let mut stream = reply.stream("text/plain").await?;
            for _ in 0..head.param::<usize>("length")? {
                stream.send(b"c").await?;
            }
            stream.end().await
        },
        POST "/echo" => async |request: Request<'_>| {
            let mut exchange = request.stream("text/plain").await?;
            while let Some((piece, mut answer)) = exchange.receive().await? {
                answer.send(piece).await?;
            }
            exchange.end().await
        },
    };
    http1::serve(session, &app).await
}

async fn length(response: &mut Response<'_, OnArrays<512>>, byte: u8) -> usize {
    let mut length = 0;
    while let Some(piece) = response.receive().await.expect("a body") {
        assert!(piece.iter().all(|found| *found == byte));
        length += piece.len();
    }
    length
}

pub(super) fn http_a_small_client_is_answered_whole(seed: u64) {
    let world = World::new(seed);
    let (a, b) = link(&world, Faults::rough());
    let blocks = Blocks::new(&[(256, 4), (4096, 4)]);
    let mut server = open_on(&world, a, Http1::new(), &blocks);
    let mut client = open::<512, _>(&world, b, Http1Client::new());
    let mut lab = world.tasks();
    lab.spawn("server", async {
        serve(&mut server).await.expect("in order");
        server.close().await.expect("close");
    });
    lab.spawn("client", async {
        for _ in 0..world.length(4) {
            let wanted = world.length(900);
            for (kind, byte) in [("whole", b'w'), ("chunked", b'c')] {
                let target = format!("/{kind}/{wanted}");
                let request = RequestOut::new("GET", &target, "lab");
                let mut response =
                    http1::ask(&mut client, request, Content::Bytes(b"")).await.expect("an answer");
                assert_eq!(response.status(), 200);
                assert_eq!(response.fields().get("content-type"), Some(&b"text/plain"[..]));
                assert_eq!(length(&mut response, byte).await, wanted, "{target}");
            }
            // Small enough for the pipes and queues between: this client sends all before it takes any.
            let sent = world.length(100);
            let known = world.chance(50).then_some(sent as u64);
            let request = RequestOut::new("POST", "/echo", "lab");
            let mut asking = http1::ask_streaming(&mut client, request, known).await.expect("begun");
            for _ in 0..sent {
                asking.send(b"e").await.expect("sent");
            }
            let body = asking.answer().await.expect("an answer").body().await.expect("a body");
            assert_eq!(*body, vec![b'e'; sent]);
            let request = RequestOut::new("GET", "/nowhere", "lab");
            let missing = http1::ask(&mut client, request, Content::Bytes(b"")).await.expect("an answer");
            assert_eq!(missing.status(), 404);
            assert!(missing.body().await.expect("a body").starts_with(b"{"));
        }
        client.close().await.expect("close");
    });
    lab.run(secs(600)).assert_done();
    blocks.assert_idle("at the end");
}
