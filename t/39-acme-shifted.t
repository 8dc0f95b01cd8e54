#!/usr/bin/perl
# A whole service with a wrong clock (t/preload/clock.c), before a CA that does not backdate: a
# certificate of tomorrow is waited for with its order, one that is due by our clock only is not
# ordered, a window of ARI in the past renews at the pace of the lifetime, and the clock is
# named as the cause wherever it is.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use FaultProxy;
use PasGate;
use Pebble;
use POSIX qw(strftime);
use Test::More;
use Time::HiRes qw(time);
use Time::Local qw(timegm);

plan skip_all => 'no newer Pebble here (t/install-deps.sh)' unless Pebble::available(1);

use constant DAY    => 86400;
use constant MINUTE => 60;      # seconds that a certificate of the profile "minute" lasts

my ($clocks, $addresses) = (0, 10);

# A clock that is so many seconds ahead: its file. Written again, it moves.
sub clock
{
    my ($seconds, $file) = @_;
    $file //= tmp('clock' . ++$clocks);
    open my $to, '+>>', $file or die;
    close $to;
    open $to, '+<', $file or die;
    syswrite $to, pack 'q', $seconds * 1e9;
    close $to;
    return $file;
}

# Runs $what, and all programs that it starts, by this clock.
sub by_clock
{
    my ($file, $what) = @_;
    return preloaded('clock', { TEST_CLOCK => $file }, $what);
}

# The CA's own TLS: valid since days ago and for months, so that it is not what a clock stumbles
# over first.
by_clock(clock(-10 * DAY), sub {
    my ($code, $said) = run_cmd(qw(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes),
        '-subj', '/CN=pasgate test CA', '-days', 400, '-keyout', tmp('ca.key'), '-out', tmp('ca.pem'));
    die $said if $code;
});
my $ca = Pebble->new(newer => 1, more => { profiles => {
    classic => { description => 'of 90 days', validityPeriod => 90 * DAY },
    minute  => { description => 'of a minute', validityPeriod => MINUTE } } });
my $front = bless { %$ca, chain => PasGate::make_dated(tmp('pebble1.csr'), -9, 200, 'DNS:localhost,IP:127.0.0.1') }, 'Pebble';

my $past = '{"suggestedWindow":{"start":"2026-01-01T00:00:00Z","end":"2026-01-02T00:00:00Z"}}';

# Changes nothing in the certificate that the CA sends, but moves the clock so that it is valid so
# many seconds later by it.
sub valid_in
{
    my ($seconds, $clock) = @_;
    return sub {
        my ($reply) = @_;
        my $bio  = Net::SSLeay::BIO_new(Net::SSLeay::BIO_s_mem());
        Net::SSLeay::BIO_write($bio, $reply->{body});
        my $leaf = Net::SSLeay::PEM_read_bio_X509($bio) or return;
        my @from = Net::SSLeay::P_ASN1_TIME_get_isotime(Net::SSLeay::X509_get_notBefore($leaf)) =~ /\d+/g;
        clock(timegm(@from[5, 4, 3, 2], $from[1] - 1, $from[0]) - $seconds - time, $clock);
        return;
    };
}

# A gate before that CA with such a clock. Returns it, the proxy before the CA, and the clock.
# valid_in: its first certificate is valid so many seconds later, when it comes.
sub gate
{
    my ($name, $seconds, %opt) = @_;
    my $clock = clock($seconds);
    my @past = $opt{past} ? [qr/renewal-info|renewalInfo/, 0, sub { @{ $_[0] }{qw(status body)} = ('200 OK', $past); return }] : ();
    # When the CA made an order: what it refuses, a nonce or an optional part, is asked for again at once.
    my $made = sub {
        my ($reply) = @_;
        open my $out, '>>', tmp("$name.orders") or die;
        print $out time, "\n" if $reply->{status} =~ /^201/;
        return;
    };
    my @moves = $opt{valid_in} ? [qr{^/certZ/}, 1, valid_in($opt{valid_in}, $clock)] : ();
    my $proxy = FaultProxy->new($front, @past, @moves, [qr{^/order-plz}, 0, $made]);
    my $gate  = by_clock($clock, sub {
        return acme_gate($ca, names => [$name], directory => $proxy->directory, address => '127.0.0.' . ++$addresses,
            acme => 'profile = "' . ($opt{profile} // 'classic') . '";');
    });
    return { name => $name, gate => $gate, proxy => $proxy, clock => $clock };
}

sub orders { my ($it) = @_; return $it->{proxy}->seen(qr{^POST /order-plz}) }

# A row without an error, soon.
sub fine
{
    my ($it) = @_;
    return wait_row($it->{gate}, sub { $_->{error} eq '' }) || do { diag cert_row($it->{gate})->{error}; 0 };
}

sub people { return ($_[0]{gate}->cli('cert', 'list'))[1] =~ s/\s+/ /gr }

sub issued { my ($it, $generation) = @_; return wait_issued($it->{gate}, $generation) || do { $it->{gate}->tell; 0 } }

my $two     = gate('two.test', -2, valid_in => 2);
my $seconds = gate('seconds.test', -10);
my $minutes = gate('minutes.test', -200);
my $weeks   = gate('weeks.test', -20 * DAY);
my $months  = gate('months.test', 62 * DAY, past => 1);
my $window  = gate('window.test', 0, past => 1, profile => 'minute');

my $waits = qr/the new certificate is not valid before \S+ because the clock here is behind the CA's; it goes live when it is valid/;

subtest 'three minutes behind' => sub {
    ok wait_row($minutes->{gate}, sub { $_->{error} =~ /^$waits$/ }), 'the status names the clock' or $minutes->{gate}->tell;
    like people($minutes), qr/error: $waits/, 'cert list does';
    is cert_row($minutes->{gate})->{failures}, 0, 'which is no failure of an order';
    clock(0, $minutes->{clock});
    ok issued($minutes), 'when the clock is set right it is live';
    is orders($minutes), 1, 'of one order';
    ok fine($minutes), 'and nothing is wrong any more';
    is verified($minutes->{gate}, $ca, 'minutes.test'), '', 'it is served';
    $minutes->{gate}->stop_ok;
};

subtest 'two seconds behind' => sub {
    ok issued($two), 'it comes by itself';
    ok $two->{gate}->wait_log(qr/certificate two\.test: $waits/), 'when it is valid, for which was waited';
    is orders($two), 1, 'with its order';
    is scalar(() = $two->{gate}->log_text =~ /failure \d|not valid yet/g), 0, 'and without a failure' or $two->{gate}->tell;
    ok fine($two), 'nothing is wrong any more';
    is verified($two->{gate}, $ca, 'two.test'), '', 'it is served';
    $two->{gate}->stop_ok;
};

subtest 'ten seconds behind' => sub {
    ok issued($seconds), 'it comes by itself';
    ok $seconds->{gate}->wait_log(qr/certificate seconds\.test: $waits/), 'when it is valid, for which was waited';
    is orders($seconds), 1, 'with its order';
    ok fine($seconds), 'and nothing is wrong any more';
    $seconds->{gate}->stop_ok;
};

# All who look at the service say so.
sub tells
{
    my ($it, $says, $what) = @_;
    my $gate = $it->{gate};
    ok wait_row($gate, sub { ($_->{notes}[0] // '') =~ /^$says$/ }), "$what: cert list has it in its notes" or do { diag explain cert_row($gate); $gate->tell };
    like people($it), qr/note: $says/, 'for people, too';
    like +($gate->cli('status'))[1] =~ s/\s+/ /gr, qr/certificate seconds\.test: $says/, 'all is not well';
    like $gate->connect(port => $gate->{status_port}, plain => 1)->request('GET', '/')->{body}, qr/$says/, 'says the page';
    is scalar(() = $gate->log_text =~ /certificate seconds\.test: $says/g), 1, 'the log has it once' or $gate->tell;
}

subtest 'a clock that is wrong at the start' => sub {
    my ($gate, $file) = @$seconds{qw(gate clock)};
    my $again = sub { clock($_[0], $file); by_clock($file, sub { $gate->start }) };
    $again->(-30 * DAY);
    tells($seconds, qr/the clock here is 30 days behind, or more: this certificate is valid from \S+ on; set it right/, 'weeks back');
    clock(0, $file);
    ok wait_row($gate, sub { !@{ $_->{notes} } }), 'with the right time it is gone';
    like +($gate->cli('status'))[1], qr/all well/, 'and all is well';
    $gate->stop_ok;
    $again->(100 * DAY - time);
    tells($seconds, qr/the clock here is 5\d years behind, or more: this certificate is valid from \S+ on; set it right/, 'in 1970');
    $gate->stop_ok;
    $again->(80 * DAY);
    tells($seconds, qr/the clock here is 80 days ahead of that of the CA; set it right/, 'months ahead');
    clock(0, $file);
    ok wait_row($gate, sub { !@{ $_->{notes} } }), 'with the right time it is gone';
    is orders($seconds), 1, 'nothing was ordered for that';
    $gate->stop_ok;
};

subtest 'weeks behind' => sub {
    my $says = qr/not yet valid; is the clock of this host right\? It says \d/;
    ok wait_row($weeks->{gate}, sub { $_->{error} =~ $says }), 'TLS to the CA fails: the status asks for the clock' or $weeks->{gate}->tell;
    like people($weeks), $says, 'so does cert list';
    is orders($weeks), 0, 'nothing was ordered';
    $weeks->{gate}->stop_ok;
};

subtest 'months ahead, and a window in the past' => sub {
    ok issued($months), 'the first one comes';
    my $gate = $months->{gate};
    ok wait_for { $months->{proxy}->seen(qr/renewal-?info/i) }, 'the CA is asked when to renew';
    my $wall = sub { strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time + $_[0] * DAY)) };
    ok wait_row($gate, sub { ($_->{next_try} // '') gt $wall->(62 + 8) }), 'not before a tenth of its lifetime' or diag cert_row($gate)->{next_try};
    like join("\n", @{ cert_row($gate)->{notes} // [] }), qr/the clock here is 62 days ahead of that of the CA; set it right/, 'the clock is told';

    # As if the clock had been right then, and jumped since.
    $gate->stop_ok;
    change_state($gate, issued_at => int(1000 * time), renew_at => int(1000 * (time + 62 * DAY + 4)));
    by_clock($months->{clock}, sub { $gate->start });
    my $held = qr/the clock here is 62 days ahead of the CA's; set it right\. By the CA's clock the renewal is not due before \S+: nothing is ordered/;
    ok wait_row($gate, sub { $_->{error} =~ /^$held$/ }), 'due by our clock only: nothing is ordered, and it is said why' or $gate->tell;
    my ($until) = cert_row($gate)->{error} =~ /not due before (\S+):/;
    ok $until lt $wall->(61), 'nor before its own dates say so' or diag $until;
    like people($months), qr/error: $held/, 'for people';
    is orders($months), 1, 'there was one order';
    clock(0, $months->{clock});
    ok fine($months), 'with the right time nothing is wrong';
    is orders($months), 1, 'nor due';
    $gate->stop_ok;
};

subtest 'a window in the past' => sub {
    ok issued($window, 4), 'renewed again and again';
    my @at = split /\n/, slurp(tmp('window.test.orders'));
    my $early = grep { $at[$_] - $at[ $_ - 1 ] < MINUTE / 10 - 1 } 1 .. $#at;
    is $early, 0, 'a tenth of the lifetime before each order' or do { diag "@at"; $window->{gate}->tell };
    cmp_ok scalar @at, '>=', 3, 'of several';
    $window->{gate}->stop_ok;
};

$_->{proxy}->end for $two, $seconds, $minutes, $weeks, $months, $window;
$ca->end;
done_testing;
