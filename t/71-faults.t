#!/usr/bin/perl
# 71-faults.t: what an ill instance costs. Five pools of three instances each, in containers,
# of which one falls ill in every way that an instance can, under open-loop load of GET, POST
# and long downloads on two workers. Counted: failed, slow and duplicated requests.
#
#   safe requests     none fails
#   POST              none but those that were at the instance when the first sign was seen
#                     fails, and none ever arrives twice: the instances keep a book of all ids
#   downloads         none but those that were on their way from it is cut
#
# The pools suffer side by side, each in a process of its own (a "lane"), fault after fault.
use strict;
use warnings;
use lib 't/lib';
use Compose;
use JSON::PP;
use PasGate;
use Test::More;
use Time::HiRes qw(time sleep);
use Time::Local 'timegm';

use constant {
    GETS      => 30,    # per second and pool
    POSTS     => 9,
    DOWNLOADS => 2,
    ILL       => 6,     # seconds that it stays ill, at least
    SIGN      => 0.5,   # seconds for a sign to get from worker to healthd to workers, and be logged
};

my $it = Compose->new('faults');
my ($https) = free_ports(1);
my @lanes = qw(a b c d t u);    # t and u: Tomcat, the others the stand-in in C

# ---- the project

sub compose_file
{
    my %services = (
        pasgate => {
            image    => '${PASGATE_IMAGE}',
            build    => { context => '.', dockerfile => 'docker/Dockerfile' },
            command  => ['pasgate', 'run', '-c', '/etc/pasgate/faults.conf'],
            ports    => ["$https:443"],
            networks => ['front', 'inside'],
            volumes  => ['./faults.conf:/etc/pasgate/faults.conf:ro'],
        });
    for my $lane (@lanes) {
        my $image = $lane =~ /[tu]/ ? 'pas-tomcat' : 'pas-httpbin';
        $services{"$lane$_"} = {
            image       => $image,
            build       => { context => './docker', dockerfile => "$image/Dockerfile" },
            hostname    => "$lane$_",
            environment => { INSTANCE_ID => "$lane$_" },
            networks    => ['inside'],
        } for 1 .. 3;
    }
    return encode_json({
        version  => '3.7',
        services => \%services,
        networks => { front => {}, inside => { internal => JSON::PP::true } },
    });
}

sub conf
{
    my $pools = join ', ', map {
        qq<{ name = "$_"; slow_start = "3s"; eject = { time = "4s"; };
             check = { type = "pasoe"; };
             backends = [ "${_}1:8810", "${_}2:8810", "${_}3:8810" ]; }>
    } @lanes;
    # c is told to try another instance also after a 500, as its fault needs
    my $routes = join ', ', map {
        my $retry = $_ eq 'c' || $_ eq 't' ? 'retry_on = [ "connect", "empty", "verdict", "cut", "500" ];' : '';
        qq<{ path = "/$_"; pool = "$_"; upstream_path = "/web"; $retry }>
    } @lanes;
    return <<"END";
workers = 2;
listen = ( { address = "*:443"; tls = true; } );
certificates = ( { names = [ "localhost" ]; self_signed = true; } );
pools = ( $pools );
routes = ( $routes );
END
}

# ---- load

my $openloop = tool('t/tools/openloop');
if (!-x $openloop) {
    $openloop = tmp('openloop');
    my ($rc, $out) = run_cmd($ENV{CC} || 'cc', '-O2', '-o', $openloop, 't/tools/openloop.c',
        '-lssl', '-lcrypto');
    BAIL_OUT("openloop does not compile: $out") if $rc;
}

sub load_start
{
    my ($id, $path, $rate, @more) = @_;
    my $file = tmp("$id.json");
    unlink $file;
    my $pid = PasGate::spawn(tmp("$id.log"), $openloop, '-r', $rate, '-d', 0, '-c', 512,
        '-s', $file, @more, "https://127.0.0.1:$https$path");
    return { pid => $pid, file => $file };
}

sub load_now { my ($load) = @_; return eval { decode_json(slurp($load->{file})) } // {} }

sub load_end
{
    my ($load) = @_;
    kill 'TERM', $load->{pid};
    PasGate::reap($load->{pid}, 30);
    return load_now($load);
}

# Waits until $n more GETs were answered, by instance $who if it is given.
sub load_passes
{
    my ($load, $n, $who, $seconds) = @_;
    my $count = sub { my $l = load_now($load); ($who ? $l->{instances}{$who} : $l->{ok}) // 0 };
    my $from = $count->();
    return wait_for(sub { $count->() >= $from + $n }, $seconds);
}

# ---- what pasgate says

sub wall
{
    my ($iso) = @_;
    my ($y, $mo, $d, $h, $m, $s) = $iso =~ /(\d+)-(\d+)-(\d+)T(\d+):(\d+):([\d.]+)Z/ or return 0;
    return timegm(0, $m, $h, $d, $mo - 1, $y) + $s;
}

# Transitions of health since $from: [time, from, to, reason].
sub transitions
{
    my ($name, $from) = @_;
    my (undef, $out) = $it->cli('why', $name);
    my @all;
    for (split /\n/, $out) {
        my ($when, $a, $b, $reason) = /^(\S+Z)\s+healthd\s+(\S+)\s+-> (\S+)\s+(.*)/ or next;
        push @all, [wall($when), $a, $b, $reason] if wall($when) >= $from - 0.1;
    }
    return @all;
}

# Lines of the access log about POSTs of a pool since $from that failed.
sub failed_posts
{
    my ($pool, $from) = @_;
    my (undef, $out) = $it->docker('logs', '--since', sprintf('%.3f', $from), $it->container('pasgate'));
    my @failed;
    for (grep { /"method":"POST"/ } split /\n/, $out) {
        my $line = eval { decode_json($_) } // next;
        next if ($line->{pool} // '') ne $pool || ($line->{status} < 500 && $line->{end} eq 'done');
        push @failed, $line;
    }
    return @failed;
}

# Ids of POSTs that more than one arrived of, over the instances of a pool that still know.
sub duplicates
{
    my ($pool) = @_;
    my %seen;
    for my $who (map {"$pool$_"} 1 .. 3) {
        my (undef, $out) = $it->exec($who, 'ctl', '/ctl/requests');
        my $book = eval { decode_json($out) } // next;
        $seen{ $_->{id} }++ for grep { $_->{method} eq 'POST' && $_->{id} } @{ $book->{requests} };
    }
    return grep { $seen{$_} > 1 } keys %seen;
}

# ---- one fault

# The fault of an instance: begin and end it. down: it must be found; never: it must not.
sub suffer
{
    my ($pool, $fault) = @_;
    my $who   = $fault->{who} // "${pool}2";
    my $id    = $fault->{name} =~ s/\W+/-/gr;
    my $get   = load_start("$pool-$id-get",  "/$pool/get",  GETS);
    my $post  = load_start("$pool-$id-post", "/$pool/post", POSTS, '-m', 'POST');
    my $long  = $pool =~ /[tu]/ ? undef : load_start("$pool-$id-long", "/$pool/sse?n=20&ms=100", DOWNLOADS, '-w', 5000);
    my %r = (name => "$pool: $fault->{name}", notes => []);

    $r{ran} = load_passes($get, 2, $who, 60) ? 1 : 0;
    my $from = time;
    $fault->{begin}->($who);
    if ($fault->{down}) {
        $r{found} = wait_for(sub { grep { $_->[2] eq 'down' } transitions($who, $from) }, 40) ? 1 : 0;
        push @{ $r{notes} }, sprintf 'down after %.1f s', time - $from;
    }
    my $rest = $from + ILL - time;
    sleep $rest if $rest > 0;
    $r{passed} = load_passes($get, GETS, undef, 20) ? 1 : 0;
    $fault->{end}->($who);
    my $ended = time;
    $r{back} = $it->wait_state($who, 'up', 60) && load_passes($get, 1, $who, 60) ? 1 : 0;
    push @{ $r{notes} }, sprintf 'serves again after %.1f s', time - $ended;

    @r{qw(get post long)} = map { $_ ? load_end($_) : undef } $get, $post, $long;
    my @turns = transitions($who, $from);
    my ($sign) = grep { $_->[2] =~ /suspect|down/ } @turns;
    $r{turns} = [map { sprintf '%+.2f %s -> %s: %s', $_->[0] - $from, @$_[1 .. 3] } @turns];
    $r{sign} = $sign ? $sign->[0] - $from : undef;
    # by the clock of this host, which the containers share
    $r{posts} = [map { sprintf '%+.3f %s %s %s %s', wall($_->{time}) - $from,
          map { $_ // '-' } @$_{qw(backend status end detail)} } failed_posts($pool, $from)];
    $r{late} = [grep { my ($t) = /^(\S+)/; !$sign || $t > $r{sign} + SIGN } @{ $r{posts} }];
    $r{twice} = [duplicates($pool)];
    return \%r;
}

sub judge
{
    my ($fault, $r) = @_;
    subtest $r->{name} => sub {
        my ($get, $post, $long) = @$r{qw(get post long)};
        ok($r->{ran} && $r->{passed}, 'there was load, before and meanwhile');
        is($get->{failed}, 0, "no GET failed of $get->{requests}")
          or diag(join "\n", @{ $get->{first_errors} });
        ok($r->{found}, 'it was found') if $fault->{down};
        ok(!grep({/-> down/} @{ $r->{turns} }), 'it was not taken for ill') if $fault->{never};
        is_deeply($r->{late}, [], "no POST failed that was sent after the first sign; "
              . @{ $r->{posts} } . " before, of $post->{requests}");
        is_deeply($r->{twice}, [], 'no POST arrived twice');
        if ($long) {
            # two seconds each, DOWNLOADS per second, over three instances
            cmp_ok($long->{failed}, '<=', $fault->{cuts} // 2 * DOWNLOADS,
                "downloads that were on their way from it: $long->{failed} of $long->{requests}")
              or diag(join "\n", @{ $long->{first_errors} });
        }
        if (defined $fault->{slow}) {
            cmp_ok($get->{slow}, '<=', $fault->{slow} * $get->{requests},
                "slow GETs: $get->{slow} of $get->{requests}, the slowest $get->{max_ms} ms");
        }
        ok($r->{back}, 'it serves again');
        note("GET: ", join ' ', map {"$_ $get->{$_}"} qw(requests failed slow p50_ms p99_ms max_ms));
        note("POST: ", join ' ', map {"$_ $post->{$_}"} qw(requests failed slow max_ms));
        note($_) for @{ $r->{notes} }, @{ $r->{turns} }, map({"failed: $_"} @{ $r->{posts} });
    };
    return;
}

sub ctl { my ($mode) = @_; return sub { $it->exec($_[0], 'ctl', "mode=$mode") } }

sub docker { my @what = @_; return sub { $it->docker(@what, $it->container($_[0])) } }

sub ill { my ($name, $mode, @more) = @_; return { name => $name, begin => ctl($mode), end => ctl('ok'), slow => 0.2, @more } }

sub network { my ($verb) = @_; return sub { $it->docker('network', $verb, "$it->{project}_inside", $it->container($_[0])) } }

# Packets to the instance vanish: a rule in its own network namespace, set by the iptables that
# the engine of this host has, from a container that shares the namespace.
sub drop
{
    my ($flag) = @_;
    return sub {
        $it->docker('run', '--rm', '-u', '0', '--cap-add', 'NET_ADMIN', '--network', 'container:' . $it->container($_[0]),
            '-v', '/:/host', 'debian:trixie-slim', 'chroot', '/host', 'iptables', '-w', $flag, 'INPUT', '-j', 'DROP');
    };
}

sub flap
{
    my ($who) = @_;
    for (1 .. 3) {
        $it->exec($who, 'ctl', 'mode=refuse');
        sleep 3;
        $it->exec($who, 'ctl', 'mode=ok');
        sleep 3;
    }
}

# Two of three at once.
sub two
{
    my ($modes) = @_;
    return sub {
        my ($who) = @_;
        my $other = $who =~ s/2$/3/r;
        $it->exec($who,   'ctl', "mode=$modes->[0]");
        $it->exec($other, 'ctl', "mode=$modes->[1]");
    };
}

my %faults = (
    a => [
        { name => 'docker stop', begin => docker(qw(stop -t 5)), end => docker('start'), down => 1, slow => 0.2 },
        { name => 'docker kill', begin => docker('kill'), end => docker('start'), down => 1, slow => 0.2 },
        { name => 'docker pause', begin => docker('pause'), end => docker('unpause'), down => 1, slow => 0.2 },
        { name => 'one hangs, one cuts', begin => two(['hang', 'cut']), end => two(['ok', 'ok']), down => 1, slow => 0.4, cuts => 10 },
    ],
    b => [
        { name => 'network disconnect', begin => network('disconnect'), end => network('connect'), down => 1, slow => 0.2 },
        { name => 'packets dropped', begin => drop('-I'), end => drop('-D'), down => 1, slow => 0.2 },
        { name => 'flapping', begin => \&flap, end => ctl('ok'), slow => 0.2 },
    ],
    c => [
        ill('hangs', 'hang', down => 1),
        ill('resets', 'reset', down => 1),
        ill('500 to everything', '500', down => 1),
        ill('answers after 3 s', 'slow&ms=3000', never => 1, slow => 0.34),
    ],
    d => [
        ill('cuts bodies, pings well', 'cut&ping=ok', down => 1, cuts => 6),
        ill('garbage', 'garbage', down => 1),
        ill('pings well, the application hangs', 'hangapp', down => 1),
        ill('pings slowly, the application works', 'slowping&ms=4000', never => 1),
    ],
    t => [
        { name => 'docker stop', begin => docker(qw(stop -t 5)), end => docker('start'), down => 1, slow => 0.2 },
        { name => 'docker kill', begin => docker('kill'), end => docker('start'), down => 1, slow => 0.2 },
        { name => 'docker pause', begin => docker('pause'), end => docker('unpause'), down => 1, slow => 0.2 },
        ill('hangs', 'hang', down => 1),
        ill('500 to everything', '500', down => 1),
    ],
    u => [
        { name => 'network disconnect', begin => network('disconnect'), end => network('connect'), down => 1, slow => 0.2 },
        { name => 'packets dropped', begin => drop('-I'), end => drop('-D'), down => 1, slow => 0.2 },
        ill('cuts bodies', 'cut', down => 1),
        ill('answers after 3 s', 'slow&ms=3000', never => 1, slow => 0.34),
        ill('pings slowly, the application works', 'slowping&ms=4000', never => 1),
    ],
);
if (my $only = $ENV{FAULTS}) {    # a pattern, for work on one of them
    @{ $faults{$_} } = grep { "$_->{name}" =~ /$only/ } @{ $faults{$_} } for @lanes;
}

# ---- everything is gone, and comes back

sub get_code
{
    my ($path) = @_;
    my (undef, $code) = run_cmd(qw(curl -sk -o /dev/null -m 5 -w %{http_code}), "https://127.0.0.1:$https$path");
    return $code;
}

sub outage
{
    my ($pool) = @_;
    $it->exec("$pool$_", 'ctl', 'mode=refuse') for 1 .. 3;
    ok($it->wait_state("$pool$_", 'down', 60), "$pool$_ is down") for 1 .. 3;
    is(get_code("/$pool/get"), 502, 'nobody is there');
    sleep 2;
    $it->exec("${pool}3", 'ctl', 'mode=ok');
    my $began = time;
    ok(wait_for(sub { get_code("/$pool/get") == 200 }, 30), 'it recovers by itself');
    my $took = time - $began;
    cmp_ok($took, '<=', 2, sprintf 'within 2 s of the return of the first (%.1f s)', $took);
    $it->exec("$pool$_", 'ctl', 'mode=ok') for 1 .. 2;
    ok($it->wait_state("$pool$_", 'up', 60), "$pool$_ is up") for 1 .. 3;
}

# ---- all of it

$it->{conf} = '/etc/pasgate/faults.conf';
$it->file('docker-compose.faults.json', compose_file());
$it->file('faults.conf', conf());
$it->ok('the images are built', 'build', 'pasgate', 'a1', 't1') or BAIL_OUT('no images');
$it->ok('up', 'up', '-d') or BAIL_OUT('not up');
ok(wait_for(sub { my $n = grep { PasGate::health_of($_) eq 'up' } @{ $it->status->{backends} // [] }; $n == 3 * @lanes }, 120),
    'all instances are up')
  or BAIL_OUT((($it->compose('logs', '--tail=20'))[1]));

$it->container($_) for 'pasgate', map { my $l = $_; map {"$l$_"} 1 .. 3 } @lanes;
my @results = PasGate::in_parallel(
    map { my $lane = $_; sub { [map { suffer($lane, $_) } @{ $faults{$lane} }] } } @lanes);
for my $i (0 .. $#lanes) {
    my $got = $results[$i];
    if (ref $got ne 'ARRAY') {
        fail("lane $lanes[$i]: " . ($got->{died} // '?'));
        next;
    }
    judge($faults{ $lanes[$i] }[$_], $got->[$_]) for 0 .. $#$got;
}
subtest 'a pool that is gone altogether' => sub { outage('a') };
subtest 'from outside of the container' => sub {
    my ($rc, $out) = $it->cli('drain', 'b1', '--wait');
    is($rc, 0, 'docker exec pasgate pasgate drain b1 --wait') or diag($out);
    is($it->backend('b1')->{admin}, 'drain', 'it is drained');
    is(($it->cli('ready', 'b1'))[0], 0, 'and ready');
    ($rc, $out) = $it->cli('restart', 'b1');
    is($rc, 1, 'a restart is refused where none is configured');
    like($out, qr/restart/, "told: $out");
    isnt(($it->cli('drain', 'b9'))[0], 0, 'an unknown one too');
};
is((grep { ($_->{restarts} // 0) > 0 } @{ $it->status->{children} // [] }), 0, 'no process of pasgate died');
$it->down;

done_testing;
