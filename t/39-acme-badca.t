#!/usr/bin/perl
# What CAs do on bad days, with all of pasgate before Pebble (t/37-acme-faults.t has the network
# half alone). While it lasts the site serves what it has, and the status tells why there is no
# other and when the next try comes; then the certificate is there, of no more orders than need
# be. Each fault has a service of its own, side by side, since most of it is waiting: after a
# first failure, for about a minute.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use FaultProxy;
use JSON::PP;
use PasGate;
use Pebble;
use POSIX qw(strftime);
use Test::More;
use Time::HiRes qw(time);
use Time::Local qw(timegm);

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

use constant AGAIN => 120;    # seconds for the second try, a minute after the first one
use constant DAY   => 86_400;
my $new_order = qr{^/order-plz};
my $made      = qr/Added order "/;
my $ca        = Pebble->new;
my $cases     = 0;

# ---- faults, as rules for FaultProxy

sub http_date { return strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime($_[0])) }

# An answer of its own, as often (0: always); the CA does not hear of it. A header may be a code.
sub refuse
{
    my ($path, $times, $status, $body, %headers) = @_;
    return [$path, $times, sub {
        my ($reply) = @_;
        my %h = map { ($_ => [ref $headers{$_} ? $headers{$_}->() : $headers{$_}]) } keys %headers;
        %$reply = (status => $status, body => $body, headers => \%h);
        return;
    }, 1];
}

sub limited
{
    my ($detail, %headers) = @_;
    return refuse($new_order, 1, '429 Slow Down',
        encode_json({ type => 'urn:ietf:params:acme:error:rateLimited', detail => $detail }), %headers);
}

# The CA's answer with another body.
sub replaced { my ($path, $body) = @_; return [$path, 1, sub { $_[0]{body} = $body->($_[0]{body}); return }] }

# The same rule, and it is written down when it was used.
sub noted
{
    my ($file, $rule) = @_;
    my ($path, $times, $code, @more) = @$rule;
    return [$path, $times, sub {
        open my $out, '>>', $file or die;
        print $out time, "\n";
        close $out;
        return $code->(@_);
    }, @more];
}

# All answers of a CA whose clock is off, but those of rules before this one.
sub clock_off
{
    my ($days) = @_;
    return [qr{.}, 0, sub { $_[0]{headers}{date} = [http_date(time + $days * DAY)]; return }];
}

my $page = '<html><h1>Bad Gateway</h1></html>';
my $big  = sub { return '{"status":"' . 'x' x 10_000_000 . '"}' };
my $deep = sub { return '[' x 10_000 . ']' x 10_000 };
my $as_it_is = sub { return };

# Of a process that does not keep 10 MB; a sanitizer has a memory of its own.
my $most_kb = sanitized() ? 64 * 1024 : 14 * 1024;

# ---- one service each

# Options beyond those of acme_gate: rules, hang.
sub start
{
    my ($what, %opt) = @_;
    my $n     = ++$cases;
    my $name  = "n$n.test";
    my $at    = delete $opt{ca} // $ca;
    my $proxy = FaultProxy->new($at, @{ delete $opt{rules} // [] });
    $proxy->hang(1) if delete $opt{hang};
    my $gate = acme_gate($at, directory => $proxy->directory, names => [$name], address => "127.0.2.$n", %opt);
    my $run = { what => $what, name => $name, ca => $at, proxy => $proxy, gate => $gate };
    wait_for { ($run->{acmed}) = $gate->pids('acmed') } or die "$what: no acmed\n";
    return $run;
}

sub orders { my ($run) = @_; return $run->{proxy}->seen(qr{^POST /order-plz}) }

sub renew { my ($run) = @_; return $run->{gate}->cli('cert', 'renew', $run->{name}, '--force') }

# Seconds from now, of a time in the status.
sub seconds_to
{
    my ($iso) = @_;
    my @t = ($iso // '') =~ /^(\d+)-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)/ or return -1;
    return timegm(@t[5, 4, 3, 2], $t[1] - 1, $t[0]) - time;
}

# The site serves, and the status tells what is wrong with its certificate: for programs, for
# people and in the log.
sub told_ok
{
    my ($run, $words, %want) = @_;
    my $gate = $run->{gate};
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok wait_row($gate, sub { $_->{error} =~ $words }, AGAIN), 'the status tells it' or $gate->tell;
    my $row = cert_row($gate);
    like $row->{error}, $words, "in words: $row->{error}";
    is $row->{source}, $want{source} // 'self-signed', 'what was live stays';
    is $row->{failures}, 1, 'one failure';
    is $gate->get('/pas/get')->{status}, 200, 'the site serves';
    my $to = seconds_to($row->{next_try});
    cmp_ok $to, '>', $want{least} // 0, "the next try comes, in $to s";
    cmp_ok $to, '<', $want{most} // 67, 'and not later';
    my (undef, $text) = $gate->cli('status');
    like $text, qr/^ +error: \S[^\n]*\n(?: +\S[^\n]*\n)? +next try \d{4}-/m, 'for people, too';
    my @lines = grep { /not ordered, failure/ } split /\n/, $gate->log_text;
    is scalar @lines, 1, 'one line in the log';
    is orders($run), $want{orders} // 1, 'the CA was asked for so many orders';
}

# The certificate is there, and nothing is wrong any more.
sub comes_ok
{
    my ($run, $orders) = @_;
    my $gate = $run->{gate};
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok wait_row($gate, sub { $_->{source} eq 'acme' && $_->{error} eq '' }, AGAIN), 'it comes' or $gate->tell;
    is verified($gate, $run->{ca}, $run->{name}), '', 'and is served';
    is state_of($gate)->{failures}, 0, 'no failure is left';
    is orders($run), $orders, 'the CA was asked for so many orders';
}

# acmed was never another one.
sub end_ok
{
    my ($run) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply [$run->{gate}->pids('acmed')], [$run->{acmed}], 'acmed is the same';
    $run->{gate}->stop_ok;
    $run->{proxy}->end;
}

# ---- all of them begin, and what is told at once

# What fails once: [what, rules, words, orders that the CA made until it came].
my $limit = 'a rate limit of the CA is reached; retrying later \(rateLimited: slow down\)';
my @once = (
    ['429 with a time that is none', [limited('slow down', 'retry-after' => 'soon')], qr/^$limit$/, 1],
    ['429 without a time', [limited('slow down')], qr/^$limit$/, 1],
    ['a page with 502 for newOrder', [refuse($new_order, 1, '502 Bad Gateway', $page)], qr/^the CA, or something in front of it, responded with status 502 and this text: Bad Gateway$/, 1],
    ['10 MB of JSON for newOrder', [replaced($new_order, $big)], qr/^127\.0\.0\.1:\d+: the response is larger than 256 KiB$/, 2],
    ['JSON 10,000 deep for newOrder', [replaced($new_order, $deep)], qr/^the CA's response does not describe an order \(status 201\)$/, 2],
    ['a chain that is cut', [replaced(qr{^/certZ}, sub { return substr $_[0], 0, length($_[0]) * 3 / 4 })], qr/^the CA's chain cannot be parsed$/, 2],
    ['a clock that is a day behind', [limited('slow down', date => sub { http_date(time - DAY) }), clock_off(-1)],
        qr/^the clock here is 24 hours ahead of the CA's; $limit$/, 1],
);
# What fails for an hour.
my @hour = (
    ['429 for an hour', [limited('too many for n.test: see https://ca.test/limits', 'retry-after' => 3600)],
        qr{^a rate limit of the CA is reached; .*\(rateLimited: too many for n\.test: see https://ca\.test/limits\)$}],
    ['a page with 503 for an hour', [refuse($new_order, 1, '503 No', $page, 'retry-after' => 3600)],
        qr/^the CA, or something in front of it, responded with status 503 and this text: Bad Gateway$/],
);

# Before its second try, so soon after it began.
for my $case (@once, @hour) {
    my ($what, $rules, $words, $made) = @$case;
    my $run = start($what, rules => $rules);
    push @$case, $run;
    subtest "$what: told" => sub {
        told_ok($run, $words, $made ? () : (least => 3000, most => 3670));
        return if $made;
        my $row = cert_row($run->{gate});
        $run->{gate}->stop_ok;
        $run->{gate}->start;
        wait_for { ($run->{acmed}) = $run->{gate}->pids('acmed') };
        is cert_row($run->{gate})->{next_try}, $row->{next_try}, 'a restart does not change when';
    };
}

# ---- what ends well in the same conversation, and what takes a while

my $mute = start('TLS that hangs', hang => 1, acme => 'preflight = false;');
my $limited_log = tmp('limited');
my $limited = start('429 with a time, three times', rules => [
    (map { noted($limited_log, limited('slow down', 'retry-after' => $_)) } 3, sub { http_date(time + 7) }, http_date(time - DAY)),
    noted($limited_log, [$new_order, 1, $as_it_is])]);
my $bumpy = start('502 and 503 in between', rules => [refuse(qr{^/dir}, 1, '502 Bad Gateway', $page),
    refuse(qr{^/authZ}, 1, '503 No', $page)]);
my $swapped = start('a leaf that is swapped', rules => [[qr{^/certZ}, 1, $as_it_is],
    replaced(qr{^/certZ}, sub { return slurp($ca->{chain}) })]);
my $ahead = start('a clock that is a day ahead', rules => [limited('slow down', date => sub { http_date(time + DAY) },
    'retry-after' => sub { http_date(time + DAY + 3) }), clock_off(1)]);
my ($newer, $plain);
if (Pebble::available(1)) {
    $newer = Pebble->new(newer => 1, more => { profiles => { default => { description => 'of 90 days', validityPeriod => 90 * DAY } } });
    $plain = start('no renewalInfo', ca => $newer, rules => [[qr{^/dir$}, 0,
        sub { $_[0]{body} =~ s/,?\s*"renewalInfo":\s*"[^"]*"//; return }]]);
}
my $big_log = tmp('big');
my $big_dir = start('10 MB for the directory', rules => [noted($big_log, refuse(qr{^/dir}, 4, '200 OK', $big->()))]);

# Nobody was told of a failure.
sub no_failure_ok
{
    my ($run) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    unlike $run->{gate}->log_text, qr/not ordered/, 'not for a moment it failed';
}

subtest $big_dir->{what} => sub {
    my $gate = $big_dir->{gate};
    # A conversation that has read one of them sleeps for seconds before it asks again.
    my ($forkserver, $peak) = (0, 0);
    ok wait_for(sub {
        ($forkserver) = grep { slurp("/proc/$_/comm") =~ /^acmed-net/ } PasGate::children($big_dir->{acmed});
        my @jobs = $forkserver && slurp($big_log) =~ /\n.*\n/ ? PasGate::children($forkserver) : ();
        for (@jobs) { my $kb = rss_kb($_, 'peak'); $peak = $kb if $kb > $peak }
        return $peak;
    }, 60), 'the network helper has read it' or $gate->tell;
    cmp_ok $peak, '<', $most_kb, "in $peak KiB at most";
    comes_ok($big_dir, 1);
    cmp_ok rss_kb($_, 'peak'), '<', $most_kb, 'nor is it anywhere else' for $forkserver, $big_dir->{acmed};
    no_failure_ok($big_dir);
    is scalar(() = slurp($big_log) =~ /\n/g), 4, 'after four of these';
    end_ok($big_dir);
};

subtest $limited->{what} => sub {
    comes_ok($limited, 4);
    no_failure_ok($limited);
    my @at = split /\n/, slurp($limited_log);
    cmp_ok $at[1] - $at[0], '>=', 2.9, 'seconds are obeyed';
    cmp_ok $at[2] - $at[1], '>=', 5.9, 'so is a date, which has whole seconds';
    cmp_ok $at[3] - $at[2], '>=', 0.9, 'one that has passed is not "at once"';
    end_ok($limited);
};

subtest $bumpy->{what} => sub {
    comes_ok($bumpy, 1);
    no_failure_ok($bumpy);
    end_ok($bumpy);
};

subtest $ahead->{what} => sub {
    comes_ok($ahead, 2);
    no_failure_ok($ahead);    # by our clock, its date is of tomorrow
    like join("\n", @{ cert_row($ahead->{gate})->{notes} }), qr/^the clock here is 24 hours behind that of the CA; set it right$/m,
      'the status tells of the clock';
    end_ok($ahead);
};

subtest 'no renewalInfo' => sub {
    plan skip_all => 'no newer Pebble here (t/install-deps.sh)' unless $plain;
    comes_ok($plain, 1);
    ok wait_for(sub { state_of($plain->{gate})->{ask_failures} }), 'that it has none is seen';
    my $days = seconds_to(cert_row($plain->{gate})->{next_try}) / DAY;
    cmp_ok abs($days - 60), '<', 4, "it is renewed when a third of its life is left, in $days days";
    is $newer->said(qr{renewalInfo/ -> calling}), 0, 'and was not asked';
    end_ok($plain);
    $newer->end;
};

# ---- what needs the operator

subtest $swapped->{what} => sub {
    my $gate = $swapped->{gate};
    comes_ok($swapped, 1);
    my $generation = cert_row($gate)->{generation};
    my ($code, $text) = renew($swapped);
    is $code, 1, 'a renewal fails';
    like $text, qr/the CA's certificate is for another key/, 'which is said';
    told_ok($swapped, qr/^the CA's certificate is for another key$/, source => 'acme', orders => 2, most => 6 * 365 * DAY);
    is verified($gate, $ca, $swapped->{name}), '', 'the one before is served';
    is cert_row($gate)->{generation}, $generation, 'and nothing else was tried';
    ($code, $text) = renew($swapped);
    is $code, 0, 'the CA is well: renewed' or diag $text;
    comes_ok($swapped, 3);
    end_ok($swapped);
};

# A minute: five times a connection of 10 s at most, with pauses.
subtest $mute->{what} => sub {
    is $mute->{gate}->get('/pas/get')->{status}, 200, 'the site serves';
    told_ok($mute, qr/^127\.0\.0\.1:\d+: .*(?:timeout|timed out)/i, orders => 0);
    $mute->{proxy}->hang(0);
    my ($code, $text) = renew($mute);
    is $code, 0, 'it speaks: a try by hand brings it' or diag $text;
    comes_ok($mute, 1);
    end_ok($mute);
};

# ---- what a second try brings

for (@once) {
    my ($what, $rules, $words, $made, $run) = @$_;
    subtest "$what: over" => sub { comes_ok($run, 2); end_ok($run) };
}

for (@hour) {
    my ($what, $rules, $words, $run) = @$_;
    subtest "$what: over" => sub {
        is orders($run), 1, 'it was not asked again';
        my ($code, $text) = renew($run);
        is $code, 0, 'but by the operator' or diag $text;
        comes_ok($run, 2);
        end_ok($run);
    };
}

my $once_made = 0;
$once_made += $_->[3] for @once;
is $ca->said($made), $once_made + @hour + 3 + 5, 'the CA has not made more orders than that';
$ca->end;
done_testing;
