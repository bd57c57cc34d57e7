//! An HTTP server. Try: curl http://127.0.0.1:8080/hello/you
use netloom::http::{Escaped, Request, Sent};
use netloom::{Result, Server, routes};

async fn hello(request: Request<'_>) -> Result<Sent> {
    let (head, reply) = request.split();
    let name = Escaped::new(head.param_text("name").unwrap_or_default());
    reply.format(format_args!("Hello, {name}!\n")).await
}

async fn echo(request: Request<'_>) -> Result<Sent> {
    let mut exchange = request.stream("application/octet-stream").await?;
    while let Some((piece, mut answer)) = exchange.receive().await? {
        answer.send(piece).await?;
    }
    exchange.end().await
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder().tcp("127.0.0.1:8080").http(routes! {
        GET "/plaintext" => async |request: Request<'_>| request.reply().text("Hello, World!").await,
        GET "/" => async |request: Request<'_>| request.reply().text("Hello, World!").await,
        GET "/hello/{name}" => hello,
        POST "/echo" => echo,
    })?;
    println!("http://{}", server.addresses()[0]);
    server.wait();
    Ok(())
}
