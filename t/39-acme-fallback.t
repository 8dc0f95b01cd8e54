#!/usr/bin/perl
# When an order fails: another kind of challenge, a dry run at a staging CA, a second CA; and
# what is seen before an order is made, so that none is wasted.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use FaultProxy;
use PasGate;
use Pebble;
use Test::More;

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

my ($http_01, $tls_alpn_01) = (1, 2);    # as acmed numbers them on disk
my $made = qr/Added order "/;

# Two CAs that look for http-01 at the same port.
sub pair
{
    my $first = Pebble->new;
    return ($first, Pebble->new(more => { httpPort => 0 + $first->{http_port} }));
}

sub http { my ($ca) = @_; return qq({ address = "127.0.0.1:$ca->{http_port}"; redirect = "https"; redirect_port = 443; }) }

sub alpn { my ($ca) = @_; return qq({ address = "127.0.0.1:$ca->{tls_port}"; tls = true; }) }

# Of all CAs of a test: www.shop.test has this address.
sub leads_to
{
    my ($address, @cas) = @_;
    for my $ca (@cas) {
        $ca->dns('clear-a', { host => 'www.shop.test.' });
        $ca->dns('add-a', { host => 'www.shop.test.', addresses => [$address] }) or die 'no such DNS';
    }
}

sub renew { my ($gate, @more) = @_; return ($gate->cli('cert', 'renew', 'www.shop.test', @more))[0] }

sub notes { return join "\n", @{ cert_row($_[0])->{notes} // [] } }

# Another web server, at another address and the port where this CA looks.
sub stranger
{
    my ($ca) = @_;
    my $listener = IO::Socket::INET->new(Listen => 8, LocalAddr => '127.0.0.2', LocalPort => $ca->{http_port})
      or die "127.0.0.2: $!";
    my $parent = $$;
    my $pid    = fork // die "fork: $!";
    return $pid if $pid;
    $SIG{PIPE} = 'IGNORE';
    $SIG{ALRM} = sub { POSIX::_exit(0) if getppid != $parent; alarm 2 };
    alarm 2;
    while (1) {
        my $client = $listener->accept or next;
        $client->sysread(my $request, 4096);
        $client->print("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
}

# All at once: most of it is waiting.
my %one = (names => ['www.shop.test']);
my $kinds = Pebble->new;
my $doubt = Pebble->new;
my ($first, $staging) = pair();
my ($real, $trial) = pair();
my $second = Pebble->new;
my $caa = Pebble->new;
my $nobody = 'https://127.0.0.1:' . free_port() . '/dir';
my $identities = FaultProxy->new($caa, [qr{^/dir$}, 0,
    sub { $_[0]{body} =~ s/"meta":\s*\{/"meta": { "caaIdentities": [ "ca.test", "ca2.test" ],/; return }]);
my $stranger = stranger($real);
leads_to('127.0.0.2', $real, $trial);
$caa->dns('add-caa', { host => 'shop.test.', policies => [{ tag => 'issue', value => 'other.test' }] })
  or die 'no CAA in this DNS';

my %gate = (
    kinds  => acme_gate($kinds, %one, listen => alpn($kinds), acme => 'preflight = false;'),
    doubt  => acme_gate($doubt, %one, listen => alpn($doubt)),
    stage  => acme_gate($first, %one, listen => '', acme => sprintf 'preflight = false; challenges = [ "http-01" ]; staging = "%s";', $staging->directory),
    marker => acme_gate($real, %one, listen => http($real), acme => sprintf 'challenges = [ "http-01" ]; staging = "%s";', $trial->directory),
    second => acme_gate($second, %one, listen => http($second), directory => $nobody,
        acme => sprintf 'fallback = { directory = "%s"; ca_file = "%s"; after = 2; };', $second->directory, $second->ca_file),
    caa => acme_gate($caa, %one, listen => http($caa), directory => $identities->directory));

subtest 'http-01 is impossible' => sub {
    my ($ca, $gate) = ($kinds, $gate{kinds});
    ok wait_issued($gate), 'a few seconds later it comes by tls-alpn-01' or $gate->tell;
    is $ca->said($made), 2, 'of the second order';
    ok $gate->wait_log(qr/failure 1: .*ports 80 and 443|failure 1: .*could not be validated/), 'the failure is told';
    my $generation = cert_row($gate)->{generation};
    ok wait_for { state_of($gate)->{kind_worked} == $tls_alpn_01 }, 'what worked is written down';
    $gate->stop_ok;
    $gate->start;
    is renew($gate, '--force'), 0, 'after a restart it is renewed';
    is $ca->said($made), 3, 'at the first try';
    is cert_row($gate)->{error}, '', 'no complaint';
    is cert_row($gate)->{generation}, $generation + 1, 'another generation is live';
    $gate->stop_ok;
};

subtest 'the marker is not found' => sub {
    my ($ca, $gate) = ($doubt, $gate{doubt});
    ok wait_issued($gate), 'issued' or $gate->tell;
    is $ca->said($made), 1, 'of the first order, by the other kind of challenge';
    like notes($gate), qr/^www\.shop\.test: nothing responds at 127\.0\.0\.1 port $ca->{http_port} /m,
      'the status tells what to look at';
    $gate->stop_ok;
};

subtest 'after a failure, a staging dry run' => sub {
    my $gate = $gate{stage};
    ok wait_row($gate, sub { $_->{error} }), 'an order fails' or $gate->tell;
    like cert_row($gate)->{doing}, qr/staging dry run/, 'the status tells what comes next';
    isnt renew($gate), 0, 'it fails again';
    is $staging->said($made), 1, 'at staging';
    isnt renew($gate), 0, 'and again';
    is $staging->said($made), 2, 'there';
    is $first->said($made), 1, 'nothing more of that at the CA';
    $gate->stop_ok;
    $gate->write_config(listen => http($first));
    $gate->start;
    renew($gate);
    ok wait_issued($gate), 'when it can be proved, it comes' or $gate->tell;
    is $staging->said($made), 3, 'after one more dry run';
    is $first->said($made), 2, 'by one order';
    is verified($gate, $first, 'www.shop.test'), '', 'of the CA';
    $gate->stop_ok;
};

subtest 'another server answers for the name' => sub {
    my $gate = $gate{marker};
    ok wait_row($gate, sub { $_->{error} }), 'it is not proved' or $gate->tell;
    like notes($gate), qr/^www\.shop\.test: another server responds at 127\.0\.0\.2 \(status 404\); make that address lead here/m,
      'one clear line';
    my ($code, $text) = $gate->cli('status');
    like $text, qr/note: www\.shop\.test: another server responds/, 'for people, too';
    is $real->said($made), 0, 'the CA is not bothered with it';
    is $trial->said($made), 1, 'there was a dry run at staging';
    leads_to('127.0.0.1', $real, $trial);
    renew($gate);
    ok wait_issued($gate), 'when the name leads here, it comes' or $gate->tell;
    is $real->said($made), 1, 'by one order';
    is verified($gate, $real, 'www.shop.test'), '', 'of the CA';
    is notes($gate), '', 'and there is nothing to look at any more';
    $gate->stop_ok;
};

subtest 'a second CA' => sub {
    my $gate = $gate{second};
    ok wait_row($gate, sub { $_->{error} }), 'the first CA does not answer' or $gate->tell;
    is $second->said($made), 0, 'the second one is not asked at once';
    isnt renew($gate), 0, 'it still does not';
    like cert_row($gate)->{doing}, qr/the second CA is tried/, 'the status tells what comes next';
    is renew($gate), 0, 'now the second one' or $gate->tell;
    is $second->said($made), 1, 'makes it';
    ok wait_issued($gate), 'it is live';
    is verified($gate, $second, 'www.shop.test'), '', 'and served';
    isnt renew($gate, '--force'), 0, 'a renewal begins with the first one';
    is $second->said($made), 1, 'which alone is asked';
    is verified($gate, $second, 'www.shop.test'), '', 'what is live stays';
    $gate->stop_ok;
};

subtest 'CAA forbids the CA' => sub {
    my $gate = $gate{caa};
    ok wait_row($gate, sub { $_->{error} }, 20), 'it is told' or $gate->tell;
    like cert_row($gate)->{error}, qr/^not ordered, to save the CA's limits: CAA at shop\.test forbids it \(0 issue "other\.test"\); add 0 issue "ca\.test"$/,
      'in one line, with what to change';
    isnt renew($gate), 0, 'whoever insists is told so, too';
    is $caa->said($made), 0, 'no order was made';
    $caa->dns('clear-caa', { host => 'shop.test.' });
    is renew($gate), 0, 'without that record it is ordered' or $gate->tell;
    is $caa->said($made), 1, 'once';
    $gate->stop_ok;
};

kill 'KILL', $stranger;
waitpid $stranger, 0;
done_testing;
