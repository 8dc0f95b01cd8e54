# Long reports are no illness: those of one user make nothing suspect, and where those of several
# look like a hang, each is answered in the end.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

my @pas = map { PasGate::StandIn->new("pas$_") } 1 .. 3;

# A session at this instance: its cookie.
sub session_at
{
    my ($gate, $id) = @_;
    return wait_for {
        my $r = $gate->get('/pas/session', plain => 1);
        my ($cookie) = map { $_->[1] =~ /^(JSESSIONID=[^;]+)/ } grep { lc $_->[0] eq 'set-cookie' } @{ $r->{fields} // [] };
        ($r->{h}{'x-instance'} // '') eq $id && $cookie;
    };
}

# These sessions ask for a report of so many ms each, while strangers get quick responses: the
# status of each.
sub reports
{
    my ($gate, $ms, @cookies) = @_;
    $gate->get('/pas/get', plain => 1) for 1 .. 100;    # a pool that is quick, as is known
    my $done = tmp('done');
    unlink $done;
    my $ask = sub { my @more = @_; return sub { $gate->get("/pas/delay?ms=$ms", plain => 1, timeout => 60, headers => [[@more]])->{status} } };
    my $strangers = sub {
        my %status;
        wait_for { $status{ $gate->get('/pas/get', plain => 1)->{status} }++; -e $done } 60;
        return \%status;
    };
    my @status = PasGate::in_parallel(
        $strangers,
        sub { my @s = PasGate::in_parallel(map { $ask->('Cookie', $_) } @cookies); PasGate::spew($done, ''); return \@s });
    return @status;
}

subtest 'of one user' => sub {
    my $gate = PasGate->new(backends => \@pas, workers => 2, check => 'type = "pasoe";');
    $gate->wait_health("pas$_", 'up') for 1 .. 3;
    my $cookie = session_at($gate, 'pas2');
    ok $cookie, 'a session at pas2';
    my ($strangers, $reports) = reports($gate, 11_000, ($cookie) x 6);
    is_deeply $reports, [(200) x 6], 'each report comes';
    is_deeply [keys %$strangers], [200], 'strangers are served';
    unlike $gate->log_text, qr/pas2 (?:is )?ejected/, 'nothing is ejected';
    $gate->stop_ok;
};

subtest 'of several users' => sub {
    my $gate = PasGate->new(backends => \@pas, workers => 2, check => 'type = "pasoe";', pool => 'queue = { timeout = "1s"; };');
    $gate->wait_health("pas$_", 'up') for 1 .. 3;
    my @cookies = map { session_at($gate, 'pas2') } 1 .. 8;
    my ($strangers, $reports) = reports($gate, 11_000, @cookies);
    is_deeply $reports, [(200) x 8], 'each report comes';
    is_deeply [keys %$strangers], [200], 'strangers are served';
    note $gate->log_text =~ /pas2 .*ejected/ ? 'it looked like a hang' : 'it did not look like a hang this time';
    $gate->stop_ok;
};

done_testing;
