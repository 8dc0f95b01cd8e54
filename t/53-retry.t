# What may be sent again, where, how often: no fault of an instance costs a safe request, and
# no POST ever arrives twice.
use strict;
use warnings;
use IO::Socket::INET;
use JSON::PP;
use lib 't/lib';
use PasGate;
use Test::More;
use Time::HiRes qw(time sleep);
use Time::Local qw(timegm);

# Checks that see nothing: what goes wrong is left to the workers.
my $blind = 'type = "tcp"; interval = "1h"; fast_interval = "100ms"; down_interval = "200ms"; rise = 1; fall = 100; jitter = 0;';
my $pool = 'balance = "roundrobin"; slow_start = "off"; eject = { failures = "off"; };';
my $every = 'retry_on = [ "connect", "empty", "verdict", "cut", "500", "502", "503", "504", "timeout" ];';
my $routes = join ",\n", map { my ($path, $more) = @$_; qq({ path = "$path"; pool = "pas"; upstream_path = "/web"; $more }) }
  ['/pas', ''],
  ['/every', "$every timeouts = { first_byte = \"300ms\"; };"],
  ['/none', 'retry_on = [ "none" ];'],
  ['/r503', 'retry_on = [ "503" ];'],
  ['/race', 'hedge_after = "200ms";'],
  ['/apsv', 'hedge_after = "100ms"; ' . $every . ' class = "apsv";'],
  ['/stall', 'timeouts = { response_idle = "800ms"; connect = "200ms"; };'];
my @pas = map { PasGate::StandIn->new("pas$_") } 1 .. 3;
my $gate = PasGate->new(workers => 2, backends => \@pas, check => $blind, pool => $pool, routes => $routes);
ok $gate->wait_health($_->{id}, 'up'), "$_->{id} is up" for @pas;

sub row_of
{
    my ($name, $of) = @_;
    my ($row) = grep { $_->{name} eq $name } @{ ($of // $gate)->status->{backends} };
    return $row;
}

# What an instance was asked, as it wrote it down.
sub book
{
    my ($pas) = @_;
    my $c = PasGate::Conn->new($pas->{ctl}, timeout => 5);
    my $r = $c->request('GET', '/ctl/requests', close => 1);
    return @{ decode_json($r->{body})->{requests} };
}

sub asked { return scalar book($_[0]) }

# A request of a session at pas1: that goes there while it is not down, suspect or not.
my $cookie;

sub at_pas1
{
    my ($method, $path, %opt) = @_;
    my $before = asked($pas[0]);
    my $r = $gate->request($method, $path, headers => [['Cookie', $cookie]], %opt);
    my $times = asked($pas[0]) - $before;
    ok $method eq 'POST' ? $times == 1 : $times > 0, "$method $path was at pas1 first";
    return $r;
}

# Requests of no session, until pas1 gets one; returns the answers.
sub until_hit
{
    my ($method, $path, %opt) = @_;
    my $before = asked($pas[0]);
    my @r;
    wait_for { push @r, $gate->request($method, $path, %opt); asked($pas[0]) > $before };
    return @r;
}

# Until every worker has seen enough good answers of pas1, and it gets its third again.
sub forgiven
{
    $pas[0]->ctl('mode=ok');
    return wait_for {
        my $before = asked($pas[0]);
        $gate->get('/pas/get') for 1 .. 30;
        asked($pas[0]) - $before >= 8;
    } 3 * DEADLINE;
}

sub failed { return [map { "$_->{status} " . ($_->{why} // '') . ($_->{complete} ? '' : ' incomplete') } grep { $_->{status} != 200 || !$_->{complete} } @_] }

# The first one of the access log with these reasons, from line $from on.
sub line_with
{
    my ($reasons, $from) = @_;
    my $line;
    wait_for {
        my @lines = raw_lines();
        ($line) = grep { /"retried":"\Q$reasons\E"/ } @lines[$from .. $#lines];
        $line;
    } 5;
    return $line ? decode_json($line) : {};
}

# Whole lines of the access log, not decoded: there are many.
sub raw_lines { return grep { /\n\z/ } split /^/, slurp($gate->{access}) }
sub lines { return scalar(my @l = raw_lines()) }

# Ids of POSTs at all instances: none twice.
sub no_twin
{
    my ($what) = @_;
    my %seen;
    $seen{ $_->{id} }++ for grep { $_->{method} eq 'POST' } map { book($_) } @pas;
    is_deeply [grep { $seen{$_} > 1 } keys %seen], [], "$what: no POST arrived twice, of " . keys %seen;
}

wait_for {
    my $r = $gate->get('/pas/session');
    ($cookie) = ($r->{h}{'set-cookie'} // '') =~ /^(JSESSIONID=[^;]+)/;
    $r->{h}{'x-instance'} eq 'pas1';
};
ok $cookie, 'a session at pas1';

for (['reset', 'empty', 'resets'], ['empty', 'empty', 'resets'], ['garbage', 'empty', 'resets'], ['cut', 'cut', 'cut']) {
    my ($mode, $reason, $counter) = @$_;
    my ($from, $before) = (lines(), row_of('pas1')->{$counter});
    $pas[0]->ctl("mode=$mode&ping=ok");
    is_deeply failed(at_pas1('GET', '/pas/get')), [], "$mode: a GET is answered by another instance";
    is_deeply failed(at_pas1('HEAD', '/pas/get')), [], "$mode: so is a HEAD" if $mode ne 'cut';
    is line_with($reason, $from)->{attempts}, 3, "the log tells of three attempts because of $reason: it was asked once more";
    ok row_of('pas1')->{$counter} > $before, "$counter counts it";
    my $r = at_pas1('POST', '/pas/post', body => 'a=1');
    ok $r->{status} == 502 || !$r->{complete}, "$mode: a POST fails";
    is scalar @{ failed(at_pas1('GET', '/none/get')) }, 1, "$mode: with retry_on none a GET is not tried again";
    no_twin($mode);
}

# One failure takes no session away from its instance.
for (['reset', 'empty'], ['empty', 'empty'], ['garbage', 'empty'], ['cut', 'cut']) {
    my ($mode, $reason) = @$_;
    $pas[0]->ctl('mode=ok');
    ok $gate->wait_health('pas1', 'up'), 'pas1 is up';
    my $from = lines();
    $pas[0]->ctl("mode=$mode&n=1");
    my $r = at_pas1('GET', '/pas/session');
    is_deeply failed($r), [], "one $mode: the session's GET is answered";
    is $r->{h}{'x-instance'}, 'pas1', 'by its instance';
    ok !$r->{h}{'set-cookie'}, 'which still knows it';
    # (that a kept connection is found closed is no attempt)
    is line_with($reason, $from)->{attempts}, 2, 'the log tells of two attempts' if $mode =~ /garbage|cut/;
}

# A large answer cannot be held: what was passed on is not asked for again.
{
    $pas[0]->ctl('mode=cut&ping=ok');
    my $cut = at_pas1('GET', '/pas/bytes?n=300000');
    ok $cut->{status} == 200 && !$cut->{complete}, 'a large answer that is cut is seen to be cut';
    is scalar(grep { $_->{target} =~ /bytes/ } map { book($_) } @pas), 1, 'and was asked for once';
    $pas[0]->ctl('mode=ok');
}

# No first byte.
{
    my ($from, $before) = (lines(), row_of('pas1')->{timeouts});
    $pas[0]->ctl('mode=hang&ping=ok');
    is_deeply failed(at_pas1('GET', '/every/get')), [], 'no first byte in time: another backend if configured';
    is line_with('timeout', $from)->{attempts}, 2, 'as the log tells';
    ok row_of('pas1')->{timeouts} > $before, 'and the cell counts it';
    is at_pas1('POST', '/every/post', body => 'a=1')->{status}, 504, 'a POST ends with 504';
    no_twin('timeout');
    $pas[0]->ctl('mode=ok');
}
ok $gate->wait_health('pas1', 'up'), 'pas1 is up again';

# An answer of the instance's own.
{
    my $from = lines();
    $pas[0]->ctl('mode=500&ping=ok');
    my @r = until_hit('GET', '/pas/get');
    is $r[-1]{status}, 500, 'a 500 is the application\'s own business';
    is at_pas1('GET', '/every/get')->{status}, 500, 'that of a session is not asked elsewhere';
    is_deeply failed(until_hit('GET', '/every/get')), [], 'but if configured, another backend is asked';
    is line_with('500', $from)->{attempts}, 2, 'as the log tells';
    @r = until_hit('POST', '/every/post', body => 'a=1');
    is $r[-1]{status}, 500, 'never for a POST';

    # Downloads that were tried again take no part of the budget once they run.
    ok forgiven(), 'pas1 answers well for a while';
    $pas[0]->ctl('mode=500&ping=ok');
    my $before = asked($pas[0]);
    my @long = map { my $c = $gate->connect; $c->write("GET /every/sse?n=40&ms=100 HTTP/1.1\r\nHost: localhost\r\n\r\n"); $c } 1 .. 12;
    ok wait_for { asked($pas[0]) >= $before + 2 && row_of('pas2')->{in_flight} + row_of('pas3')->{in_flight} == 12 }, 'long answers run, some after a 500';
    is_deeply failed(map { until_hit('GET', '/every/get') } 1 .. 2), [], 'and another request is tried again all the same';
    $_->close for @long;
    ok forgiven(), 'pas1 answers well again';
    # So many that each worker learns that it helps nothing: the test of the score comes after it.
    @r = map { $gate->get('/r503/status?code=503') } 1 .. 20;
    is_deeply [grep { $_ != 503 } map { $_->{status} } @r], [], 'where all say 503 the client gets that';
    is_deeply [grep { $_->{body} !~ /"status": 503/ } @r], [], 'in the words of the instance';
    no_twin('500');
}

# A race.
{
    my @before = map { row_of('pas1')->{$_} } qw(completed resets timeouts cut);
    my $from = lines();
    $pas[0]->ctl('mode=slow&ms=900&ping=ok');
    my $start = time;
    my @r = until_hit('GET', '/race/get');
    is_deeply failed(@r), [], 'raced: answered';
    isnt $r[-1]{h}{'x-instance'}, 'pas1', 'by the faster one';
    my $line = wait_for { (grep { $_->{raced} } ($gate->access)[$from .. lines() - 1])[0] } 5;
    is $line->{attempts}, 2, 'the log tells of both';
    ok $line->{total_us} >= 200_000 && $line->{total_us} < 900_000, "in $line->{total_us} us";
    ok wait_for { row_of('pas1')->{in_flight} == 0 }, 'the loser has its place back';
    is_deeply [map { row_of('pas1')->{$_} } qw(completed resets timeouts cut)], \@before, 'and counts neither as a failure nor as a completion';
    $from = lines();
    @r = until_hit('POST', '/race/post', body => 'a=1');
    is $r[-1]{h}{'x-instance'}, 'pas1', 'a POST is not raced';
    @r = until_hit('GET', '/apsv');
    $gate->access($from + @r + 1);
    is scalar(grep { $_->{raced} } ($gate->access)[$from .. lines() - 1]), 0, 'nor is APSV';
    $pas[0]->ctl('mode=hang&ping=ok');
    my @many = map { my $c = $gate->connect(timeout => 10); $c->write($c->build('GET', '/race/get')); $c } 1 .. 24;
    is_deeply failed(map { $_->response('GET') } @many), [], 'more than the budget allows at one time: each has its race';
    # After these it may be suspected, or be slow when compared, and then it hardly gets any.
    ok forgiven(), 'pas1 answers well after that';
    $from = lines();
    $pas[0]->ctl('mode=slow&ms=500&ping=ok');
    $_->ctl('mode=slow&ms=1000&ping=ok') for @pas[1, 2];
    @r = ();
    my $won = wait_for { push @r, $gate->get('/race/get'); $r[-1]{h}{'x-instance'} eq 'pas1' };
    is_deeply failed(@r), [], 'all slow: answered all the same';
    ok $won, 'the first one may win as well';
    $_->ctl('mode=ok') for @pas;
    ok wait_for { !grep { $_->{in_flight} } @{ $gate->status->{backends} } }, 'no place is lost';
    no_twin('race');
}

# One that errs where others do not, more often than there is budget for: what was let down waits
# for its turn, and there is soon less of it.
{
    my $from = lines();
    my $before = asked($pas[0]);
    my $load = sub {
        my ($clients, $seconds) = @_;
        return map { @$_ } in_parallel(map {
            sub {
                my ($c, $end, @seen) = ($gate->connect, time + $seconds);
                while (time < $end) {
                    my $r = $c->request('GET', '/every/get');
                    push @seen, $r->{status};
                }
                return \@seen;
            }
        } 1 .. $clients);
    };
    $pas[0]->ctl('mode=500&ping=ok');
    $_->ctl('mode=slow&ms=120&ping=ok') for @pas[1, 2];
    my @first = $load->(40, 1);    # in which it is found out
    $before = asked($pas[0]);
    my @seen = $load->(40, 3);
    cmp_ok @seen, '>', 100, scalar(@seen) . ' requests';
    is scalar(grep { $_ != 200 } @first, @seen), 0, 'and none got the 500';
    my $share = (asked($pas[0]) - $before) / @seen;
    cmp_ok $share, '<', 0.2, sprintf 'the one that errs was asked %.2f of them', $share;
    ok $gate->wait_log(qr/pas1 up -> degraded: \d+ of \d+ requests answered with 5xx/), 'the log tells';
    like +($gate->cli('status'))[1], qr/\d+ of \d+ requests answered with 5xx/, 'the status says so, too';
    $_->ctl('mode=ok') for @pas;
    ok forgiven(), 'healthy again, it gets its share';
    ok wait_for { row_of('pas1')->{health} eq 'up' }, 'and nothing is held against it';
    no_twin('score');
}

# The budget: a pool in which everything fails is not asked much more for that.
{
    # It takes the instances much longer than the clients, or few were in flight on a slow machine.
    my $clients = 30;
    $_->ctl('mode=slow&ms=300&ping=ok') for @pas;
    my $before = 0;
    $before += asked($_) for @pas;
    my $from = lines();
    my @got = in_parallel(map {
        sub {
            my ($c, $n, $end) = ($gate->connect, 0, time + 4);
            while (time < $end) {
                my $r = $c->request('GET', '/r503/status?code=503');
                last if $r->{status} != 503;
                $n++;
            }
            return $n;
        }
    } 1 .. $clients);
    my ($asked, $done) = (-$before, 0);
    $asked += asked($_) for @pas;
    $done += $_ for @got;
    $_->ctl('mode=ok') for @pas;
    my $retried = grep { $_->{retried} } ($gate->access($from + $done))[$from .. $from + $done - 1];
    ok $done > 100, "$done requests, all answered 503";
    ok $retried > 0, "$retried of them were tried again";
    # a fifth of what is in flight; and the first request of each waits for its second instance,
    # since nobody knows yet that it is in vain
    ok $asked <= 1.3 * $done + $clients, sprintf 'the instances were asked %d times, %.2f each', $asked, $asked / $done;
}
$gate->stop_ok;

# Held answers, byte by byte, from one that stalls, dribbles or cuts in the middle.
{
    my $how = tmp('how');
    my $raw = PasGate::Scripted->new(id => 'raw', reply => sub {
        my $body = 'r' x 1000;
        my $head = "HTTP/1.1 200 OK\r\nX-Instance: raw\r\nContent-Length: 1000\r\n\r\n";
        my ($half, $rest) = (substr($body, 0, 500), substr($body, 500));
        my $what = slurp($how);
        return ($head . $half, 0.05, $rest) if $what eq 'dribble';
        return (substr($head, 0, 20), 0.05, substr($head, 20) . $half, 0.05, $rest) if $what eq 'pieces';
        return ($head . $half, 'RESET') if $what eq 'reset';
        return (substr($head, 0, 20), 0.02, undef) if $what eq 'head';
        return ($head . $half, 5) if $what eq 'stall';
        return "HTTP/1.1 200 OK\r\nX-Instance: raw\r\nContent-Length: 0\r\n\r\n";
    });
    spew($how, '');
    $gate = PasGate->new(backends => [$raw, $pas[1]], check => $blind, pool => $pool, routes => $routes);
    for my $what (qw(dribble pieces reset head stall)) {
        $raw->clear;
        spew($how, $what);
        my @r;
        wait_for { push @r, $gate->get('/stall/get'); scalar $raw->seen };
        is_deeply failed(@r), [], "$what: answered whole";
        my $by = $what =~ /dribble|pieces/ ? 'raw' : 'pas2';
        is $r[-1]{h}{'x-instance'}, $by, "by $by";
        is $r[-1]{body}, 'r' x 1000, 'byte for byte' if $by eq 'raw';
    }
    $gate->stop_ok;

    # With nobody to turn to nothing is held, and a cut is a cut.
    spew($how, '');
    $gate = PasGate->new(backends => [$raw], check => $blind, pool => $pool, routes => $routes);
    spew($how, 'reset');
    my $r = $gate->get('/stall/get');
    ok !$r->{complete}, 'the only instance cuts: the client sees it';
    $gate->stop_ok;
}

# An instance that takes no connections: a POST of which nothing was sent moves.
{
    my $full = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die $!;
    my $plug = sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $full->sockport, Blocking => 0) };
    my @held = map { $plug->() } 1 .. 8;
    sleep 0.05;
    $gate = PasGate->new(backends => [{ name => 'full', port => $full->sockport }, $pas[1]], no_probe => 1,
        check => 'type = "http"; host = "x"; port = ' . $pas[1]{ctl} . '; path = "/ctl"; interval = "1h"; fast_interval = "100ms"; rise = 1; fall = 100;',
        pool => $pool, routes => $routes);
    ok $gate->wait_health($_, 'up'), "$_ is up" for qw(full pas2);
    my @r;
    wait_for { push @r, $gate->request('POST', '/stall/post', body => 'a=1'); (row_of('full')->{timeouts} // 0) > 0 };
    is_deeply failed(@r), [], 'connecting takes too long: a POST moves';
    no_twin('connect');
    $gate->stop_ok;
}

# A verdict is acted on in every worker within 10 ms.
{
    my $check = 'type = "pasoe"; path = "/rest/_oepingService/_oeping"; interval = "100ms"; '
      . 'fast_interval = "100ms"; down_interval = "100ms"; timeout = "400ms"; rise = 1; fall = 1; jitter = 0;';
    $gate = PasGate->new(workers => 3, backends => [@pas[0, 1]], check => $check, routes => $routes,
        pool => 'balance = "roundrobin"; sticky = "none"; slow_start = "off"; eject = { failures = "off"; };');
    my (@worst, %workers, $moved);
    for my $round (1 .. 6) {
        $pas[0]->ctl('mode=ok');
        ok $gate->wait_health('pas1', 'up'), "round $round" or last;
        $pas[0]->ctl('mode=hang');
        my @c = map { my $c = $gate->connect; $c->write($c->build('GET', '/pas/get')); $c } 1 .. 12;
        my @r = map { $_->response('GET') } @c;
        is_deeply failed(@r), [], 'all were answered';
        $_->close for @c;
        my $down = stamp(row_of('pas1')->{health_since});
        my %id = map { $_->{h}{'x-request-id'} => 1 } @r;
        my @lines;
        wait_for { @lines = grep { /"id":"(\w+)"/ && $id{$1} } raw_lines(); @lines == @r };
        @lines = map { decode_json($_) } @lines;
        my @late = map { stamp($_->{time}) + $_->{total_us} / 1e6 - $down } grep { ($_->{retried} // '') eq 'verdict' } @lines;
        next unless @late;
        $moved += @late;
        my ($worst) = sort { $b <=> $a } @late;
        push @worst, $worst;
        $workers{ $_->{worker} }++ for grep { ($_->{retried} // '') eq 'verdict' } @lines;
        diag sprintf 'verdict: %d moved and answered within %.1f ms', scalar @late, $worst * 1000;
    }
    my $median = (sort { $a <=> $b } @worst)[$#worst / 2];
    # A sanitized build has no figures.
    my $most = PasGate::sanitized() ? 0.1 : 0.01;
    ok $moved, "$moved requests moved because of a verdict";
    is_deeply [sort keys %workers], [0 .. 2], 'in every worker';
    ok defined $median && $median < $most,
      sprintf 'the last of a round was answered by the other instance %.1f ms after it (median)', ($median // 9) * 1000;
    $pas[0]->ctl('mode=ok');
    $gate->stop_ok;
}

sub stamp
{
    my ($y, $mo, $d, $h, $m, $s, $ms) = $_[0] =~ /(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{3})Z/ or return 0;
    return timegm($s, $m, $h, $d, $mo - 1, $y) + $ms / 1000;
}

# Ejected, and tried with one safe request at a time: its failures cost nobody anything.
{
    my ($how, $book) = map { tmp($_) } qw(trial book);
    spew($how, 'ok');
    spew($book, '');
    my $raw = PasGate::Scripted->new(id => 'raw', reply => sub {
        my ($request) = @_;
        open my $f, '>>', $book;
        $f->autoflush(1);
        print $f $request =~ /^POST/ ? 'P' : '+';
        select undef, undef, undef, 0.01;
        print $f '-';
        my $what = slurp($how);
        return (30) if $what eq 'hang';
        my $head = "HTTP/1.1 200 OK\r\nX-Instance: raw\r\nContent-Length: 100\r\n\r\n";
        return $what eq 'cut' ? ($head . 'cut', undef) : $head . 'x' x 100;
    });
    $gate = PasGate->new(workers => 3, backends => [$raw, @pas[1, 2]], check => $blind, routes => $routes,
        pool => 'balance = "roundrobin"; sticky = "none"; slow_start = "off"; '
          . 'eject = { failures = 3; window = "1s"; time = "400ms"; max_time = "800ms"; };');
    ok $gate->wait_health($_, 'up'), "$_ is up" for qw(raw pas2 pas3);
    my $load = PasGate::Load->new($gate, clients => 6, path => '/pas/get', pause => 0.002);
    for my $what (qw(cut hang)) {
        spew($how, $what);
        ok $gate->wait_log(qr/ejected for/, 15), "$what: raw is ejected" if $what eq 'cut';
        my $posts = PasGate::Load->new($gate, clients => 2, method => 'POST', path => '/pas/post', body => 'a=1', pause => 0.002);
        # What was sent before the ejection may be read late on a slow machine, side by side.
        ok $gate->wait_log(qr/raw ejected -> probation/, 15), "$what: and on probation" if $what eq 'cut';
        my $from = length $gate->log_text;
        spew($book, '') if $what eq 'cut';
        my $again = $what eq 'cut' ? qr/failed on probation/ : qr/on probation it gave no response/;
        ok $gate->wait_log($again, 15, $from), "$what: tried, and ejected again";
        $posts->stop_ok("$what: meanwhile no POST failed");
        unlike slurp($book), qr/P/, "$what: nor was one sent there";
        unlike slurp($book), qr/\+\+/, "$what: never two at a time" if $what eq 'cut';
    }
    spew($how, 'ok');
    ok $gate->wait_health('raw', 'up'), 'well again: it passes its trial';
    $load->stop_ok;
    my @lines = raw_lines();
    my ($slowest) = sort { $b <=> $a } map { /"total_us":(\d+)/ } @lines;
    diag sprintf '%d requests, %d raced, %d tried again, the slowest took %.2f s', scalar @lines,
      scalar(grep { /"raced":true/ } @lines), scalar(grep { /"retried":/ } @lines), $slowest / 1e6;
    $gate->stop_ok;
}

# No instance gives a response in time: a deadline ended it, however many were asked.
{
    my @mute = map { PasGate::Scripted->new(id => "mute$_", reply => sub { return (20) }) } 1 .. 2;
    $gate = PasGate->new(workers => 1, backends => \@mute, check => $blind, routes => $routes, no_probe => 1,
        pool => 'balance = "roundrobin"; sticky = "none"; slow_start = "off"; eject = { failures = "off"; };');
    ok $gate->wait_health($_->{id}, 'up'), "$_->{id} is up" for @mute;
    is $gate->get('/every/get')->{status}, 504, 'all are silent: 504';
    my ($line) = $gate->access(1);
    is "$line->{attempts} $line->{end} $line->{detail}", '2 timeout no first byte of the response in time', 'as the log tells';
    $gate->stop_ok;
}

# Suspect: what must not fail goes to the well ones.
{
    my $check = 'type = "pasoe"; path = "/rest/_oepingService/_oeping"; interval = "100ms"; fast_interval = "100ms"; '
      . 'timeout = "2s"; rise = 1; fall = 100; jitter = 0;';
    $gate = PasGate->new(workers => 2, backends => \@pas, check => $check, pool => $pool, routes => $routes);
    ok $gate->wait_health($_->{id}, 'up'), "$_->{id} is up" for @pas;
    $pas[0]->ctl('mode=pingfail');
    ok $gate->wait_health('pas1', 'suspect'), 'pas1 is suspect';
    my $before = asked($pas[0]);
    my @r = map { $gate->request('POST', '/pas/post', body => 'a=1') } 1 .. 12;
    is_deeply failed(@r), [], 'POSTs are answered';
    is asked($pas[0]), $before, 'none was sent to the suspect';
    $pas[0]->ctl('mode=ok');
    $gate->stop_ok;
}
done_testing;
