#!/usr/bin/perl
# 71-faults.t: what an ill instance costs. Seven pools of three instances each, in containers,
# of which one falls ill in every way that an instance can, under open-loop load of GET, POST
# and long downloads on two workers. Counted: failed, slow and duplicated requests. Four pools
# are of the stand-in in C, three of real Tomcats, and both suffer the same; only the stand-in can
# answer unlike its neighbours.
#
#   safe requests     none fails; where an instance answers, but unlike the others, a handful do
#                     until that is found, with the default settings
#   POST              none but those that were at the instance when the first sign of a fall was seen
#                     fails, and none ever arrives twice: the instances keep a book of all ids,
#                     over their own death
#   downloads         none but those that were on their way from it is cut
#
# The pools suffer side by side, each in a process of its own (a "lane"), fault after fault. An
# eighth pool is well all the time: what is slow there is slow because of the machine.
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
    MANY      => 60,    # the same, where few may be slow: some 500 to 800 in a drill
    FEW       => 2,     # so few of these
    CONTROL   => 20,    # the same, of the pool that is well
    POSTS     => 9,
    DOWNLOADS => 2,
    TIMEOUT   => 10,    # seconds, until a client gives up
    ILL       => 6,     # seconds that it stays ill, at least
    SIGN      => 0.5,   # seconds for a sign to get from worker to healthd to workers, and be logged
};

my $it = Compose->new('faults');
my ($https) = free_ports(1);
my @lanes = qw(a b c d t u v);    # from t on Tomcat, the others the stand-in in C

use constant CONTROL_POOL => 'k';

sub is_tomcat { return $_[0] =~ /^[t-z]/ }

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
    for my $lane (@lanes, CONTROL_POOL) {
        my $image = is_tomcat($lane) ? 'pas-tomcat' : 'pas-httpbin';
        $services{"$lane$_"} = {
            image       => $image,
            build       => { context => './docker', dockerfile => "$image/Dockerfile" },
            hostname    => "$lane$_",
            environment => { INSTANCE_ID => "$lane$_", BOOK => '/tmp/book' },
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
    } @lanes, CONTROL_POOL;
    # Two are told to try another instance also after a 500, as a fault of theirs needs. A POST
    # that hangs is in the log soon after its client has given up, at TIMEOUT: what goes away
    # behind Docker's proxy looks like a client that has only sent all of its request.
    my $timeout = 'timeouts = { first_byte = "' . (TIMEOUT + 2) . 's"; };';
    my $routes = join ', ', map {
        my $retry = $_ eq 'c' || $_ eq 't' ? 'retry_on = [ "connect", "empty", "verdict", "cut", "500" ];' : '';
        qq<{ path = "/$_"; pool = "$_"; upstream_path = "/web"; $timeout $retry }>
    } @lanes, CONTROL_POOL;
    return <<"END";
workers = 2;
listen = ( { address = "*:443"; tls = true; } );
certificates = ( { names = [ "localhost" ]; self_signed = true; } );
pools = ( $pools );
routes = ( $routes );
END
}

# ---- load

sub load_start
{
    my ($path, $rate, @more) = @_;
    return PasGate::OpenLoop->new({ tls => $https }, path => $path, rate => $rate, nice => -10,
        more => ['-c', 512, @more]);
}

my $control;    # the load of the pool that is well

# Waits until $n more GETs were answered, by instance $who if it is given.
sub load_passes
{
    my ($load, $n, $who, $seconds) = @_;
    my $count = sub { my $l = $load->now; ($who ? $l->{instances}{$who} : $l->{ok}) // 0 };
    my $from = $count->();
    return wait_for(sub { $count->() >= $from + $n }, $seconds);
}

# Waits until a load goes well for two seconds: a JVM that is new is slow, and so is a machine
# that starts twenty containers. Returns the counts so far; what comes is counted from there.
sub load_calm
{
    my ($load, $who, $seconds) = @_;
    my $then = $load->now;
    my $calm = wait_for(sub {
        my $now = $load->now;
        my $ok = ($now->{ok} // 0) - ($then->{ok} // 0);
        return 0 if $ok < 1.5 * GETS && defined $then->{ok};
        my $well = defined $then->{ok} && $now->{slow} == $then->{slow} && $now->{failed} == $then->{failed}
          && $now->{requests} - $now->{ok} - $now->{failed} < GETS / 2
          && ($now->{instances}{$who} // 0) > ($then->{instances}{$who} // 0);
        $then = $now if defined $now->{ok};
        return $well;
    }, $seconds);
    return $calm ? $then : undef;
}

sub slow_share
{
    my ($from, $to) = @_;
    my $n = $to->{requests} - $from->{requests};
    return $n > 0 ? ($to->{slow} - $from->{slow}) / $n : 0;
}

# ---- what pasgate says

sub wall
{
    my ($iso) = @_;
    my ($y, $mo, $d, $h, $m, $s) = $iso =~ /(\d+)-(\d+)-(\d+)T(\d+):(\d+):([\d.]+)Z/ or return 0;
    return timegm(0, $m, $h, $d, $mo - 1, $y) + $s;
}

# All that pasgate writes goes to a file, so that looking again and again costs nothing: a
# `docker exec` costs more than a hundred requests, and each lane looks for seconds.
my $log_file = tmp('pasgate.log');
my %log;    # of this process: the file, the end of what was read, turns by backend, POSTs by pool

sub log_read
{
    %log = (owner => $$, rest => '', turns => {}, posts => {}) if ($log{owner} // 0) != $$;
    $log{fh} // open($log{fh}, '<', $log_file) or die "$log_file: $!";
    while (sysread $log{fh}, my $more, 1 << 20) {
        $log{rest} .= $more;
        while ($log{rest} =~ /\G(.*)\n/gc) {
            my $line = $1;
            if ($line =~ /"process":"healthd"/ && $line =~ /"message":"backend (\S+) (\S+) -> (\S+): (.*)"\}/) {
                my ($who, @turn) = ($1, $2, $3, $4);
                push @{ $log{turns}{$who} }, [wall($line =~ /"time":"([^"]+)"/), @turn];
            } elsif ($line =~ /"method":"POST".*"pool":"(\w+)"/) {
                push @{ $log{posts}{$1} }, $line;
            }
        }
        $log{rest} = substr $log{rest}, pos($log{rest}) // 0;
    }
    return \%log;
}

# Transitions of health since $from: [time, from, to, reason].
sub transitions
{
    my ($name, $from) = @_;
    return grep { $_->[0] >= $from - 0.1 } @{ log_read()->{turns}{$name} // [] };
}

sub wait_health
{
    my ($name, $want, $seconds) = @_;
    return wait_for(sub { my $t = log_read()->{turns}{$name}; $t && $t->[-1][2] eq $want }, $seconds);
}

# Lines of the access log about POSTs of a pool, but the first $n, that failed.
sub failed_posts
{
    my ($pool, $n) = @_;
    my @all = @{ log_read()->{posts}{$pool} // [] };
    return grep { $_->{status} >= 500 || $_->{end} ne 'done' } map { eval { decode_json($_) } // () } @all[$n .. $#all];
}

# What the books of a pool's instances say about POSTs: (how many books could be read, ids, ids
# that are in them more than once).
sub posts_seen
{
    my ($pool) = @_;
    my ($books, %seen) = (0);
    for my $who (map {"$pool$_"} 1 .. 3) {
        my (undef, $out) = $it->exec($who, 'ctl', '/ctl/requests');
        my $book = eval { decode_json($out) } // next;
        $books++;
        $seen{ $_->{id} }++ for grep { $_->{method} eq 'POST' && $_->{id} } @{ $book->{requests} };
    }
    return ($books, scalar keys %seen, [grep { $seen{$_} > 1 } sort keys %seen]);
}

# Was it sent before the first sign of its instance's last fall could be seen?
#   $falls   when each instance fell
sub sent_in_time
{
    my ($who, $sent, $falls) = @_;
    my $fall = (grep { $_ <= $sent + SIGN } @{ $falls->{$who} // [] })[-1] // $falls->{$who}[0] // return 0;
    my ($sign) = grep { $_->[2] =~ /suspect|probation|ejected|down/ } transitions($who, $fall);
    return $sign && $sent <= $sign->[0] + SIGN;
}

# ---- one fault

# The fault of an instance: begin and end it.
#   down, never    it must be found, it must not
#   also           the number of another one that is ill too
#   slow           this share of the GETs may take more than a second
#   few            not more than FEW may: they are hedged, so that hardly any waits for the verdict.
#                  A POST is not; it is sent twice nowhere. Which are slow is told beside them.
#   cuts           so many downloads may be cut
#   unlike         it answers unlike the others: so many GETs may fail or be slow until it is degraded
#   shunned        so few of them get there that this may take long
#   turns          so many transitions it may have, and the well ones none; it falls more than once
my %posted;    # POSTs that were answered, by pool

sub suffer
{
    my ($pool, $fault) = @_;
    my $who   = "${pool}2";
    my @well  = grep { $_ ne $who && $_ ne $pool . ($fault->{also} // '') } map {"$pool$_"} 1 .. 3;
    my $id    = $fault->{name} =~ s/\W+/-/gr;
    my $get   = load_start("/$pool/get", $fault->{few} && !is_tomcat($pool) ? MANY : GETS);
    my $post  = load_start("/$pool/post", POSTS, '-m', 'POST');
    my $long  = load_start("/$pool/sse?n=20&ms=100", DOWNLOADS, '-w', 5000);
    my %r = (name => "$pool: $fault->{name}", notes => []);
    my $down = sub { (grep { $_->[2] =~ /^(?:ejected|down)$/ } transitions($who, $_[0]))[0] };

    my $before = load_calm($get, $who, 90);
    $r{ran} = $before ? 1 : 0;
    my $quiet = $control->now;
    my $posts = @{ log_read()->{posts}{$pool} // [] };
    my $from = time;
    my @falls = $fault->{begin}->($who);
    my %falls = ($who => $fault->{turns} ? \@falls : [$from]);
    $falls{ $pool . $fault->{also} } = [$from] if $fault->{also};
    if ($fault->{down}) {
        $r{found} = wait_for(sub { $down->($from) }, 40) ? 1 : 0;
    }
    if ($fault->{unlike} && !$fault->{shunned}) {
        $r{found} = wait_for(sub { grep { $_->[2] eq 'degraded' } transitions($who, $from) }, 40) ? 1 : 0;
    }
    my $rest = $from + ILL - time;
    sleep $rest if $rest > 0;
    $r{passed} = load_passes($get, GETS, undef, 20) ? 1 : 0;
    $fault->{end}->($who);
    my $ended = time;
    $r{back} = wait_health($who, 'up', 60) && load_passes($get, 1, $who, 60) ? 1 : 0;
    push @{ $r{notes} }, sprintf 'serves again after %.1f s', time - $ended;
    if ($fault->{also}) {
        $r{back} &&= wait_health("$pool$fault->{also}", 'up', 60) ? 1 : 0;
    }

    @r{qw(get post long)} = map { $_->stop } $get, $post, $long;
    $r{noise} = slow_share($quiet, $control->now);
    if ($before) {
        $r{get}{$_} -= $before->{$_} for qw(requests ok failed slow);
    }
    # the last lines are on their way
    wait_for(sub { @{ log_read()->{posts}{$pool} // [] } >= $posts + $r{post}{requests} }, TIMEOUT + 4);
    my @turns = transitions($who, $from);
    my $tell = sub { my ($t) = @_; sprintf '%+.2f %s -> %s: %s', $t->[0] - $from, @$t[1 .. 3] };
    $r{turns} = [map { $tell->($_) } @turns];
    $r{well} = [map { my $w = $_; map { "$w " . $tell->($_) } transitions($w, $from) } @well];
    my $when = $down->($from);
    $r{down} = $when->[0] - $from if $when;
    # by the clock of this host, which the containers share
    $r{posts} = [map { sprintf '%+.3f %s %s %s %s', wall($_->{time}) - $from,
          map { $_ // '-' } @$_{qw(backend status end detail)} } failed_posts($pool, $posts)];
    $r{late} = [grep { my ($t, $at) = split; !sent_in_time($at, $from + $t, \%falls) } @{ $r{posts} }];
    $posted{$pool} += $r{post}{ok};
    @r{qw(books seen twice)} = posts_seen($pool);
    $r{posted} = $posted{$pool};
    return \%r;
}

sub bad_gets
{
    my ($r) = @_;
    return $r->{get}{failed} + $r->{get}{slow};
}

# After how many GETs it is found that an instance is unlike the others depends on the order in
# which they come: in simulated pools after 4.4 in the mean, after 8 in the worst one of many. Who
# has bad luck has a second try.
sub suffer_unlike
{
    my ($pool, $fault) = @_;
    my $r = suffer($pool, $fault);
    return $r if !$fault->{unlike} || bad_gets($r) <= $fault->{unlike};
    my $again = suffer($pool, $fault);
    unshift @{ $again->{notes} }, "the first time, " . bad_gets($r) . ' GETs failed or were slow';
    return $again;
}

# It answers, but unlike the others: a handful of GETs show that. It stays, with a twentieth of its
# share, and nobody sends a POST again.
sub judge_unlike
{
    my ($fault, $r) = @_;
    my ($get, $post) = @$r{qw(get post)};
    my $bad = bad_gets($r);
    cmp_ok($bad, '<=', $fault->{unlike} + 3 * $r->{noise} * $get->{requests},
        "GETs that failed or were slow: $bad of $get->{requests}")
      or diag(join "\n", @{ $get->{first_errors} }, @{ $get->{first_slow} });
    cmp_ok($post->{failed}, '<=', POSTS, "POSTs that failed: $post->{failed} of $post->{requests}");
    return;
}

sub judge_ill
{
    my ($fault, $r) = @_;
    my ($get, $post) = @$r{qw(get post)};
    is($get->{failed}, 0, "no GET failed of $get->{requests}")
      or diag(join "\n", @{ $get->{first_errors} });
    is_deeply($r->{late}, [], "no POST failed that was sent after the first sign; "
          . @{ $r->{posts} } . " before, of $post->{requests}");
    cmp_ok($post->{failed}, '<=', @{ $r->{posts} }, 'and pasgate knows of each that did')
      or diag(join "\n", @{ $post->{first_errors} });
    # where the machine makes some slow that have nothing to do with it, it makes more so here
    my $most = $fault->{few} ? FEW : $fault->{slow} * $get->{requests};
    cmp_ok($get->{slow}, '<=', $most + 3 * $r->{noise} * $get->{requests},
        "slow GETs: $get->{slow} of $get->{requests}, the slowest $get->{max_ms} ms");
    return;
}

sub judge
{
    my ($fault, $r) = @_;
    subtest $r->{name} => sub {
        my ($get, $post, $long) = @$r{qw(get post long)};
        ok($r->{ran} && $r->{passed}, 'there was load, before and meanwhile');
        $fault->{unlike} ? judge_unlike($fault, $r) : judge_ill($fault, $r);
        ok($r->{found}, 'it was found') if $fault->{down} || $fault->{unlike} && !$fault->{shunned};
        ok(!grep({/-> (?:ejected|down)/} @{ $r->{turns} }), 'it was not taken for ill') if $fault->{never};
        ok(!grep({/-> (?:ejected|down)/} @{ $r->{well} }), 'nor was one that is well');
        if ($fault->{turns}) {
            cmp_ok(@{ $r->{turns} }, '<=', $fault->{turns}, 'its own state does not flap: ' . @{ $r->{turns} });
            # short of the machine's own fits, in which anybody may be suspected for a second
            is_deeply($r->{well}, [], 'nor that of the pool') if $r->{noise} < 0.01;
        }
        is_deeply($r->{twice}, [], 'no POST arrived twice');
        ok($r->{books} == 3 && $r->{seen} >= $r->{posted},
            "all three books were read: $r->{seen} POSTs, $r->{posted} of them answered");
        # two seconds each, DOWNLOADS per second, over three instances
        cmp_ok($long->{failed}, '<=', $fault->{cuts} // 2 * DOWNLOADS,
            "downloads that were on their way from it: $long->{failed} of $long->{requests}")
          or diag(join "\n", @{ $long->{first_errors} });
        ok($r->{back}, 'it serves again');
        # a failure is to be understood without a second run
        my $say = Test::More->builder->is_passing ? \&note : \&diag;
        $say->("GET: ", join ' ', map {"$_ $get->{$_}"} qw(requests failed slow p50_ms p99_ms max_ms));
        $say->("POST: ", join ' ', map {"$_ $post->{$_}"} qw(requests failed slow max_ms));
        $say->("downloads: ", join ' ', map {"$_ $long->{$_}"} qw(requests failed slow max_ms));
        $say->(sprintf 'down after %.1f s', $r->{down}) if defined $r->{down};
        $say->("slow: $_") for @{ $get->{first_slow} };
        $say->(sprintf 'elsewhere %.1f %% were slow', 100 * $r->{noise}) if $r->{noise};
        $say->($_) for @{ $r->{notes} }, @{ $r->{turns} }, map({"well: $_"} @{ $r->{well} }),
          map({"failed: $_"} @{ $r->{posts} });
        # a line of the table in docs/figures.md
        $say->(sprintf 'row: | %s | %s | %d of %d | %d | %d of %d | %d of %d |', $r->{name},
            $fault->{never} ? 'never, rightly' : defined $r->{down} && !$fault->{turns} ? sprintf('%.1f s', $r->{down}) : '',
            @$get{qw(failed requests slow)}, @$post{qw(failed requests)}, @$long{qw(failed requests)});
    };
    return;
}

sub ctl { my ($mode) = @_; return sub { $it->exec($_[0], 'ctl', "mode=$mode") } }

sub docker { my @what = @_; return sub { $it->docker(@what, $it->container($_[0])) } }

sub ill { my ($name, $mode, @more) = @_; return { name => $name, begin => ctl($mode), end => ctl('ok'), slow => 0.03, @more } }

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

# The times when it fell.
sub flap
{
    my ($who) = @_;
    my @falls;
    for (1 .. 3) {
        push @falls, time;
        $it->exec($who, 'ctl', 'mode=refuse');
        sleep 3;
        $it->exec($who, 'ctl', 'mode=ok');
        sleep 3;
    }
    return @falls;
}

# Two of three at once: it and the third.
sub two
{
    my ($one, $other) = @_;
    return sub {
        my ($who) = @_;
        $one->($who);
        $other->($who =~ s/2$/3/r);
    };
}

sub hosts
{
    my ($name, $begin, $end, @more) = @_;
    return { name => $name, begin => $begin, end => $end, down => 1, slow => 0.03, @more };
}

# The same in the stand-in's pools and in Tomcat's, but for how they are spread; only the stand-in
# can answer unlike its neighbours (lane d).
my %all = map { $_->{name} => $_ } (
    hosts('docker stop', docker(qw(stop -t 5)), docker('start')),
    hosts('docker kill', docker('kill'), docker('start')),
    hosts('docker pause', docker('pause'), docker('unpause'), few => 1),
    # what is in C is back before it can be found down
    { name => 'docker restart', begin => docker(qw(restart -t 5)), end => sub { }, slow => 0.03 },
    hosts('network disconnect', network('disconnect'), network('connect'), few => 1),
    hosts('packets dropped', drop('-I'), drop('-D'), few => 1),
    ill('hangs', 'hang', down => 1, few => 1),
    ill('resets', 'reset', down => 1),
    ill('garbage', 'garbage', down => 1),
    ill('500 to everything', '500', down => 1),
    ill('cuts bodies, pings well', 'cut&ping=ok', down => 1, cuts => 6),
    ill('pings well, the application hangs', 'hangapp', down => 1, few => 1),
    ill('answers after 3 s', 'slow&ms=3000', never => 1, few => 1),
    ill('pings slowly, the application works', 'slowping&ms=4000', never => 1),
    ill('answers 500 to everything', '500&ping=ok', unlike => 6),
    ill('answers 500 to half', 'half&ping=ok', unlike => 20),
    ill('answers 404 to everything', '500&code=404&ping=ok', unlike => 20),
    # it always has more in flight than the others, so that it hardly gets any
    ill('bodies trickle', 'trickle&ms=400', unlike => 20, shunned => 1),
    { name => 'flapping', begin => \&flap, end => ctl('ok'), turns => 12, slow => 0.03 },
    { name => 'one hangs, one cuts', begin => two(ctl('hang'), ctl('cut')), end => two(ctl('ok'), ctl('ok')),
        also => 3, down => 1, slow => 0.04, cuts => 10 },
    { name => 'one is killed, one hangs', begin => two(docker('kill'), ctl('hang')), end => two(docker('start'), ctl('ok')),
        also => 3, down => 1, slow => 0.04 },
);
my %faults = (
    a => ['docker stop', 'docker kill', 'docker pause', 'docker restart', 'one hangs, one cuts'],
    b => ['cuts bodies, pings well', 'garbage', 'pings well, the application hangs',
        'pings slowly, the application works', 'network disconnect', 'packets dropped'],
    d => ['answers 500 to everything', 'answers 500 to half', 'answers 404 to everything', 'bodies trickle'],
    c => ['hangs', 'resets', '500 to everything', 'flapping', 'one is killed, one hangs', 'answers after 3 s'],
    t => ['docker stop', 'docker kill', 'docker pause', 'docker restart', 'hangs', '500 to everything'],
    u => ['cuts bodies, pings well', 'garbage', 'pings well, the application hangs',
        'pings slowly, the application works', 'network disconnect', 'packets dropped'],
    v => ['resets', 'flapping', 'one hangs, one cuts', 'one is killed, one hangs', 'answers after 3 s'],
);
$_ = [map { $all{$_} // die "no fault $_" } @$_] for values %faults;
if (my $only = $ENV{FAULTS}) {    # a pattern ("^u: pings"), for work on one of them
    for my $lane (@lanes) {
        @{ $faults{$lane} } = grep { "$lane: $_->{name}" =~ /$only/ } @{ $faults{$lane} };
    }
    @lanes = grep { @{ $faults{$_} } || "$_: outage" =~ /$only/ } @lanes;
}

# ---- everything is gone, and comes back

sub get_code
{
    my ($path) = @_;
    my (undef, $code) = run_cmd(qw(curl -sk -o /dev/null -m 15 -w %{http_code}), "https://127.0.0.1:$https$path");
    return $code;
}

# Does the application of this instance answer, when it is asked beside pasgate?
sub answers
{
    my ($who) = @_;
    my ($rc) = $it->exec($who, 'bash', '-c', 'exec 3<>/dev/tcp/127.0.0.1/8810;'
          . ' printf "GET /web/get HTTP/1.0\r\nHost: localhost\r\n\r\n" >&3; read -r line <&3; [[ $line == *" 200 "* ]]');
    return $rc == 0;
}

# The stand-ins' ports are closed; Tomcats are killed, and the return of one is when its
# application answers: the first request of a new JVM takes as long as the machine lets it.
sub outage
{
    my ($pool) = @_;
    my $tomcat = is_tomcat($pool);
    my %r = (name => $pool);
    my $load = load_start("/$pool/get", GETS);
    load_passes($load, GETS, undef, 20);
    for my $who (map {"$pool$_"} 1 .. 3) {
        $tomcat ? $it->docker('kill', $it->container($who)) : $it->exec($who, 'ctl', 'mode=refuse');
    }
    $r{down} = grep { wait_health("$pool$_", 'down', 60) } 1 .. 3;
    $r{gone} = get_code("/$pool/get");
    sleep 2;
    if ($tomcat) {
        $it->docker('start', $it->container("${pool}3"));
        wait_for(sub { answers("${pool}3") }, 60);
    } else {
        $it->exec("${pool}3", 'ctl', 'mode=ok');
    }
    my $began = time;
    $r{serves} = wait_for(sub { get_code("/$pool/get") == 200 }, 30) ? 1 : 0;
    $r{took} = time - $began;
    # what was sent before may still fail; what is sent from now on may not
    my $lost = $load;
    kill 'TERM', $lost->{pid};
    $load = load_start("/$pool/get", GETS);
    for my $who (map {"$pool$_"} 1 .. 2) {
        $tomcat ? $it->docker('start', $it->container($who)) : $it->exec($who, 'ctl', 'mode=ok');
    }
    $r{up} = grep { wait_health("$pool$_", 'up', 60) } 1 .. 3;
    load_passes($load, GETS, "${pool}1", 30);
    $r{load} = $load->stop;
    $lost = $lost->stop;
    $r{note} = "before: $lost->{failed} of $lost->{requests} failed, " . encode_json($lost->{errors});
    return \%r;
}

sub judge_outage
{
    my ($r) = @_;
    subtest "$r->{name}: a pool that is gone altogether" => sub {
        is($r->{down}, 3, 'all are down');
        # one that is killed leaves an address where nobody refuses; while one request tries
        # that, others get 503
        like($r->{gone}, qr/^50[234]$/, 'nobody is there');
        ok($r->{serves}, 'it recovers by itself');
        # The one request that tries may be at an address where nobody refuses, three times a
        # second of connecting; then it takes two checks, 2 s apart while a backend is down.
        cmp_ok($r->{took}, '<=', 2 * 2 + 1, sprintf 'within two checks of the return of the first (%.1f s)', $r->{took});
        is($r->{up}, 3, 'all are up');
        is($r->{load}{failed}, 0, "no GET failed from then on, of $r->{load}{requests}")
          or diag(join "\n", @{ $r->{load}{first_errors} });
        note($r->{note});
    };
    return;
}

# ---- all of it

$it->{conf} = '/etc/pasgate/faults.conf';
$it->file('docker-compose.faults.json', compose_file());
$it->file('faults.conf', conf());
$it->ok('the images are built', 'build', 'pasgate', "$lanes[0]1", "$lanes[-1]1") or BAIL_OUT('no images');
$it->ok('up', 'up', '-d') or BAIL_OUT('not up');
ok(wait_for(sub { my $n = grep { PasGate::health_of($_) eq 'up' } @{ $it->status->{backends} // [] }; $n == 3 * (@lanes + 1) }, 120),
    'all instances are up')
  or BAIL_OUT((($it->compose('logs', '--tail=20'))[1]));

$it->container($_) for 'pasgate', map { my $l = $_; map {"$l$_"} 1 .. 3 } @lanes;
my $follow = PasGate::spawn($log_file, 'docker', 'logs', '-f', $it->container('pasgate'));
$control = load_start('/' . CONTROL_POOL . '/get', CONTROL);
# Nobody falls ill before all are warm: nine new JVMs take two cores for half a minute, and what
# a lane sees then is that and no fault.
{
    my %warm = map { $_ => [load_start("/$_/get", GETS), load_start("/$_/post", POSTS, '-m', 'POST'),
            load_start("/$_/sse?n=20&ms=100", DOWNLOADS)] } @lanes;
    ok(load_calm($warm{$_}[0], "${_}2", 180), "pool $_ is warm") for @lanes;
    $_->stop for map {@$_} values %warm;
}
my $up = time;
my @results = PasGate::in_parallel(
    map { my $lane = $_; sub { [map { suffer_unlike($lane, $_) } @{ $faults{$lane} }] } } @lanes);
note(sprintf 'all faults took %.0f s', time - $up);
for my $i (0 .. $#lanes) {
    my $got = $results[$i];
    if (ref $got ne 'ARRAY') {
        fail("lane $lanes[$i]: " . ($got->{died} // '?'));
        next;
    }
    judge($faults{ $lanes[$i] }[$_], $got->[$_]) for 0 .. $#$got;
}
for (PasGate::in_parallel(map { my $pool = $_; sub { outage($pool) } } grep {/[at]/} @lanes)) {
    $_->{died} ? fail("outage: $_->{died}") : judge_outage($_);
}
$control = $control->stop;
is($control->{failed}, 0, "a pool that is well lost none of $control->{requests}, $control->{slow} were slow")
  or diag(join "\n", @{ $control->{first_errors} });
# RFC 3986 has them escaped; Tomcat refuses them raw, and gets them escaped.
subtest 'what browsers send raw, to Tomcat' => sub {
    my ($pool) = grep { is_tomcat($_) } @lanes;
    plan skip_all => 'no Tomcat in this run' if !$pool;
    for my $target ('get?a={b|c}^`"', 'get?n[0]=1', "get?caf\xc3\xa9=\xe2\x82\xac", qq(get?'a'="b")) {
        my (undef, $code) = run_cmd(qw(curl -skg -o /dev/null -m 15 -w %{http_code}), "https://127.0.0.1:$https/$pool/$target");
        is($code, 200, $target =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ger);
    }
};

subtest 'from outside of the container' => sub {
    my $one = "$lanes[0]1";
    my ($rc, $out) = $it->cli('drain', $one, '--wait');
    is($rc, 0, "docker exec pasgate pasgate drain $one --wait") or diag($out);
    is($it->backend($one)->{admin}, 'drain', 'it is drained');
    is(($it->cli('ready', $one))[0], 0, 'and ready');
    ($rc, $out) = $it->cli('restart', $one);
    is($rc, 1, 'a restart is refused where none is configured');
    like($out, qr/restart/, "told: $out");
    isnt(($it->cli('drain', "$lanes[0]9"))[0], 0, 'an unknown one too');
};
is((grep { ($_->{restarts} // 0) > 0 } @{ $it->status->{children} // [] }), 0, 'no process of pasgate died');
kill 'TERM', $follow;
PasGate::reap($follow, 5);
$it->down;

done_testing;
