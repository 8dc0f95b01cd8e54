#!/usr/bin/perl
# bench.pl: pasgate beside nginx, HAProxy and Apache, on this machine, in one run.
#
#   t/bench/bench.pl [--quick] [--rounds N] [--seconds S] [--only NAME,...] [--case NAME,...]
#
# Each proxy runs one worker, pinned to core 0, in front of the same three stand-ins; they and
# the load share core 1. All have the same certificate (EC P-256), TLS 1.3 with X25519 and
# AES-128-GCM, kept connections to the backends, the path map /pas -> /web, X-Forwarded-*
# fields, and no access log. Each round runs every case on every proxy in turn; a figure is the
# median of the rounds. CPU time is that of the proxy's whole process tree, by the scheduler's
# own account (/proc/PID/task/*/schedstat, nanoseconds), divided by the answers.
#
# Memory of an idle connection: a fresh proxy, its tree's PSS before and after 1000 TLS
# connections that have had one answer each. What the kernel keeps for a socket is the same for
# all and not in it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Cwd qw(abs_path);
use Getopt::Long;
use IPC::Open2;
use JSON::PP;
use PasGate;
use Time::HiRes qw(time sleep);

my %opt = (rounds => 5, seconds => 3, idle => 1000);
GetOptions(\%opt, 'quick', 'rounds=i', 'seconds=f', 'idle=i', 'only=s', 'case=s', 'json=s')
  or die "usage: bench.pl [--quick] [--rounds N] [--seconds S] [--only NAME,...] [--case NAME,...]\n";
%opt = (%opt, rounds => 1, seconds => 0.3, idle => 50) if $opt{quick};

my @pin_proxy = cpus() > 1 ? qw(taskset -c 0) : ();
my @pin_load  = cpus() > 1 ? qw(taskset -c 1) : ();
my $load      = tool('t/bench/load');

my @cases = (
    { name => 'keep-alive',  title => 'small, keep-alive',    args => [qw(-c 16 -u /pas/bytes?n=128)] },
    { name => 'handshake',   title => 'full TLS handshake',   args => [qw(-c 16 -H -u /pas/bytes?n=128)] },
    { name => 'down-100k',   title => '100 KiB down',         args => [qw(-c 16 -u /pas/bytes?n=102400)] },
    { name => 'down-1m',     title => '1 MiB down',           args => [qw(-c 8 -u /pas/bytes?n=1048576)] },
    { name => 'up-64k',      title => '64 KiB up',            args => [qw(-c 16 -u /pas/upload -b 65536)] },
);
my @proxies = (
    { name => 'pasgate', title => 'pasgate', binary => PasGate::binary(), start => \&pasgate },
    { name => 'nginx',   title => 'nginx',   binary => '/usr/sbin/nginx',   start => \&nginx },
    { name => 'haproxy', title => 'HAProxy', binary => '/usr/sbin/haproxy', start => \&haproxy },
    { name => 'apache',  title => 'Apache',  binary => '/usr/sbin/apache2', start => \&apache },
);
for ([\@cases, 'case'], [\@proxies, 'only']) {
    my ($list, $key) = @$_;
    my %want = map { $_ => 1 } split /,/, $opt{$key} // '';
    @$list = grep { $want{ $_->{name} } } @$list if %want;
}
for (@proxies) {
    -x $_->{binary} or die "$_->{binary} is not there; t/install-deps.sh bench\n";
    $_->{port} = free_port();
}

my ($chain, $key) = make_cert('bench', 'localhost');
my @backend = map { PasGate::StandIn->new("pas$_") } 1 .. 3;
pin($_->{pid}, 1) for @backend;

my %memory;
for my $p (@proxies) {
    begin($p);
    $memory{ $p->{name} } = idle_memory($p);
    finish($p);
}

my %figure;    # case, proxy, measure -> list
begin($_) for @proxies;
for my $p (@proxies) {
    run_load($p, $_, 0.3) for @cases;
}
for my $round (1 .. $opt{rounds}) {
    for my $case (@cases) {
        for my $p (@proxies) {
            my $before = cpu_ns($p->{pid});
            my $r      = run_load($p, $case, $opt{seconds});
            my $cpu    = (cpu_ns($p->{pid}) - $before) / 1000 / ($r->{requests} || 1);
            my $f      = $figure{ $case->{name} }{ $p->{name} } //= {};
            push @{ $f->{cpu} }, $cpu;
            push @{ $f->{rps} }, $r->{rps};
            push @{ $f->{p99} }, $r->{p99_us};
            printf STDERR "%d/%d %-12s %-8s %8.1f us CPU %9.1f/s  p50 %6d  p99 %6d us\n", $round,
              $opt{rounds}, $case->{name}, $p->{name}, $cpu, $r->{rps}, $r->{p50_us}, $r->{p99_us};
        }
    }
}
finish($_) for @proxies;
report();

# ---- measuring

sub cpus { return scalar(my @n = slurp('/proc/cpuinfo') =~ /^processor\s/mg) }

sub pin
{
    my ($pid, $core) = @_;
    run_cmd('taskset', '-a', '-c', '-p', $core, $pid) if cpus() > 1;
}

sub tree
{
    my ($pid) = @_;
    my @tree = ($pid);
    for my $p (@tree) {
        push @tree, map { split ' ', slurp($_) } glob "/proc/$p/task/*/children";
    }
    return @tree;
}

# CPU time of a tree so far. A thread of less than a tick is in it, too.
sub cpu_ns
{
    my ($pid) = @_;
    my $sum = 0;
    for my $p (tree($pid)) {
        $sum += (split ' ', slurp($_))[0] // 0 for glob "/proc/$p/task/*/schedstat";
    }
    return $sum;
}

sub pss_kb
{
    my ($pid) = @_;
    my $sum = 0;
    $sum += slurp("/proc/$_/smaps_rollup") =~ /^Pss:\s+(\d+)/m ? $1 : rss_kb($_) for tree($pid);
    return $sum;
}

sub run_load
{
    my ($p, $case, $seconds) = @_;
    my ($code, $out) = run_cmd(@pin_load, $load, '-p', $p->{port}, '-d', $seconds, @{ $case->{args} });
    my ($json) = $out =~ /^(\{.*\})$/m;
    die "$p->{name}, $case->{name}: $out\n" . slurp($p->{log}) if $code || !$json;
    return decode_json($json);
}

# KiB of the tree for each idle connection.
sub idle_memory
{
    my ($p) = @_;
    run_load($p, { name => 'idle', args => [qw(-c 4 -u /pas/bytes?n=128)] }, 0.2);
    my $before = pss_kb($p->{pid});
    my $pid = open2(my $from, my $to, @pin_load, $load, '-p', $p->{port}, '-d', 60, '-I',
        '-c', $opt{idle}, '-u', '/pas/bytes?n=128');
    my $r = decode_json(scalar <$from> // '{"failed":1}');
    die "$p->{name}: idle connections: " . encode_json($r) if $r->{failed} || $r->{open} != $opt{idle};
    sleep 0.5;    # what is freed late is freed now, for each alike
    my $each = (pss_kb($p->{pid}) - $before) / $opt{idle};
    close $to;
    waitpid $pid, 0;
    printf STDERR "idle         %-8s %8.1f KiB for each connection\n", $p->{name}, $each;
    return $each;
}

sub median
{
    my @v = sort { $a <=> $b } @_;
    return @v % 2 ? $v[$#v / 2] : ($v[@v / 2 - 1] + $v[@v / 2]) / 2;
}

# One markdown table.
sub report
{
    my @names = map { $_->{name} } @proxies;
    my $ours  = grep { $_ eq 'pasgate' } @names;
    my @peers = grep { $_ ne 'pasgate' } @names;
    my @head  = ('', 'measure', map({ $_->{title} } @proxies),
        $ours ? map({ my $n = $_; 'to ' . (grep { $_->{name} eq $n } @proxies)[0]{title} } @peers) : ());
    my $row = sub {
        my ($title, $measure, $format, $value) = @_;
        my @ratio = $ours ? map { $value->{$_} ? sprintf '%.2f', $value->{pasgate} / $value->{$_} : '-' } @peers : ();
        print '| ', join(' | ', $title, $measure, map({ sprintf $format, $value->{$_} } @names), @ratio), " |\n";
    };
    print '| ', join(' | ', @head), " |\n|", join('|', map { $_ < 2 ? '---' : '---:' } 0 .. $#head), "|\n";
    for my $case (@cases) {
        my $f = $figure{ $case->{name} };
        my $of = sub { my ($m) = @_; return { map { $_ => median(@{ $f->{$_}{$m} }) } @names } };
        $row->($case->{title}, 'CPU µs/request', '%.1f', $of->('cpu'));
        $row->('',             'requests/s',     '%.0f', $of->('rps'));
        $row->('',             'p99 µs',         '%.0f', $of->('p99'));
    }
    $row->('idle TLS connection', 'KiB', '%.1f', \%memory);
    if ($opt{json}) {
        spew($opt{json}, JSON::PP->new->canonical->pretty->encode({ figures => \%figure, memory => \%memory }));
    }
}

# ---- the proxies

sub begin
{
    my ($p) = @_;
    $p->{dir} = tmp($p->{name});
    mkdir $p->{dir};
    chmod 0777, $p->{dir};
    $p->{log} = "$p->{dir}/log";
    $p->{pid} = PasGate::spawn($p->{log}, @pin_proxy, $p->{start}->($p));
    my $it = bless { pid => $p->{pid} }, 'Bench::Process';
    $p->{process} = $it;
    PasGate::remember($it);
    wait_for {
        my $r = eval {
            my $c = PasGate::Conn->new($p->{port}, tls => 1, timeout => 2);
            $c->request('GET', '/pas/bytes?n=10', close => 1);
        };
        $r && $r->{status} == 200;
    } 10 or die "$p->{name} does not serve:\n" . slurp($p->{log});
}

sub finish
{
    my ($p) = @_;
    PasGate::forget($p->{process});
    $p->{process}->end;
}

sub Bench::Process::end
{
    my ($it) = @_;
    kill 'TERM', $it->{pid};
    defined PasGate::reap($it->{pid}, 10) or do { kill 'KILL', -$it->{pid}; PasGate::reap($it->{pid}, 5) };
    return 1;
}

sub nginx
{
    my ($p) = @_;
    my $servers = join ' ', map { "server 127.0.0.1:$_->{port};" } @backend;
    my $user = $> == 0 ? 'user www-data;' : '';
    return ($p->{binary}, '-p', "$p->{dir}/", '-e', 'stderr', '-c', spew("$p->{dir}/nginx.conf", <<"END"));
daemon off; $user worker_processes 1; pid $p->{dir}/pid; error_log stderr;
events { worker_connections 8192; }
http {
    access_log off;
    client_body_temp_path $p->{dir}/body; proxy_temp_path $p->{dir}/proxy;
    fastcgi_temp_path $p->{dir}/f; uwsgi_temp_path $p->{dir}/u; scgi_temp_path $p->{dir}/s;
    keepalive_timeout 300s; keepalive_requests 1000000000;
    upstream pas { $servers keepalive 32; }
    server {
        listen 127.0.0.1:$p->{port} ssl backlog=1024;
        ssl_certificate $chain; ssl_certificate_key $key;
        ssl_protocols TLSv1.2 TLSv1.3; ssl_ecdh_curve X25519:P-256; ssl_session_cache off;
        client_max_body_size 0; client_body_buffer_size 128k;
        location /pas/ {
            proxy_pass http://pas/web/;
            proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host \$http_host;
            proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto \$scheme;
            proxy_buffers 16 16k; proxy_busy_buffers_size 64k; proxy_max_temp_file_size 0;
        }
    }
}
END
}

sub haproxy
{
    my ($p) = @_;
    my $servers = join "\n", map { "    server $_->{id} 127.0.0.1:$_->{port}" } @backend;
    my $pem = spew("$p->{dir}/both.pem", slurp($chain) . slurp($key));
    return ($p->{binary}, '-db', '-f', spew("$p->{dir}/haproxy.cfg", <<"END"));
global
    nbthread 1
    maxconn 4096
    ssl-default-bind-options ssl-min-ver TLSv1.2
    ssl-default-bind-curves X25519:P-256
    tune.ssl.cachesize 0
defaults
    mode http
    timeout client 300s
    timeout server 300s
    timeout connect 5s
    timeout http-keep-alive 300s
    http-reuse always
    option forwardfor
    option splice-auto
frontend f
    bind 127.0.0.1:$p->{port} ssl crt $pem backlog 1024
    http-request set-header X-Forwarded-Proto https
    http-request replace-path ^/pas/(.*) /web/\\1
    default_backend pas
backend pas
    balance roundrobin
$servers
END
}

sub apache
{
    my ($p) = @_;
    my $modules = join "\n", map { "LoadModule ${_}_module /usr/lib/apache2/modules/mod_$_.so" }
      qw(mpm_event authz_core ssl socache_shmcb headers slotmem_shm proxy proxy_http
      proxy_balancer lbmethod_byrequests);
    my $members = join "\n", map { "    BalancerMember http://127.0.0.1:$_->{port}/web" } @backend;
    my $user = $> == 0 ? "User www-data\nGroup www-data" : '';
    return ($p->{binary}, '-D', 'FOREGROUND', '-d', $p->{dir}, '-f', spew("$p->{dir}/apache.conf", <<"END"));
DefaultRuntimeDir $p->{dir}
PidFile $p->{dir}/pid
ErrorLog $p->{dir}/log
$modules
$user
ServerName localhost
Listen 127.0.0.1:$p->{port}
ListenBacklog 1024
StartServers 1
ServerLimit 1
ThreadLimit 64
ThreadsPerChild 64
MaxRequestWorkers 64
MinSpareThreads 1
MaxSpareThreads 64
AsyncRequestWorkerFactor 64
KeepAlive On
KeepAliveTimeout 300
MaxKeepAliveRequests 0
Mutex default:$p->{dir}
SSLEngine on
SSLProtocol -all +TLSv1.2 +TLSv1.3
SSLOpenSSLConfCmd Groups X25519:P-256
SSLSessionCache none
SSLCertificateFile $chain
SSLCertificateKeyFile $key
RequestHeader set X-Forwarded-Proto https
ProxyPreserveHost On
<Proxy balancer://pas>
$members
</Proxy>
ProxyPass /pas balancer://pas
ProxyPassReverse /pas balancer://pas
END
}

sub pasgate
{
    my ($p) = @_;
    my $servers = join ', ', map { qq({ name = "$_->{id}"; address = "127.0.0.1:$_->{port}"; }) } @backend;
    return ($p->{binary}, 'run', '-c', spew("$p->{dir}/pasgate.conf", <<"END"));
workers = 1;
pidfile = "$p->{dir}/pid";
log = { level = "warn"; access = "off"; };
listen = ( { address = "127.0.0.1:$p->{port}"; tls = true; } );
timeouts = { idle = "300s"; };
certificates = ( { names = [ "localhost" ]; chain = "$chain"; key = "$key"; } );
pools = ( { name = "pas"; balance = "roundrobin"; sticky = "none"; check = { type = "tcp"; };
    backends = ( $servers ); } );
routes = ( { path = "/pas"; pool = "pas"; upstream_path = "/web"; } );
END
}
