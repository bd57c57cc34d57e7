//! nginx in this process's place: one process, no master, a configuration that lies in memory.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, iter};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Signal, set_parent_process_death_signal};

use super::announce;

/// Where Debian has it, which is not in everyone's search path.
const USUAL: &str = "/usr/sbin";

/// The program, if it is installed.
pub fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(iter::once(PathBuf::from(USUAL)));
    folders.map(|folder| folder.join("nginx")).find(|program| program.is_file())
}

/// Becomes nginx, which listens a little after it was announced; returns only if that fails. `server` is what its
/// configuration says of the server that listens there, and whose `files` lie in that folder.
pub fn serve(server: impl Fn(SocketAddr, &Path) -> String, files: &[(&str, &[u8])]) -> io::Result<()> {
    let program = program().ok_or_else(|| io::Error::other("nginx is not installed"))?;
    // It does not tell which port it was given, so it is given one that was free just now.
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let prefix = env::current_exe()?.with_file_name("compare-nginx");
    fs::create_dir_all(&prefix)?;
    for (name, content) in files {
        fs::write(prefix.join(name), content)?;
    }
    let mut configuration = File::from(memfd_create("nginx.conf", MemfdFlags::empty())?);
    configuration.write_all(self::configuration(&server(address, &prefix)).as_bytes())?;
    // The thread that ends this process with its starter does not live on in nginx.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    announce(address)?;
    let path = Path::new("/proc/self/fd").join(configuration.as_raw_fd().to_string());
    let mut nginx = Command::new(program);
    nginx.arg("-p").arg(prefix).arg("-c").arg(path).args(["-e", "stderr"]);
    Err(nginx.exec())
}

/// What it writes goes below its prefix, and there is no limit that a comparison reaches.
fn configuration(server: &str) -> String {
    format!(
        "daemon off;
master_process off;
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections 65536; }}
http {{
    access_log off;
    default_type text/plain;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    tcp_nodelay on;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
{server}
    }}
}}
"
    )
}
