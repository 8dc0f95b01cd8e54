# Hostile traffic: every case of t/hostile/cases.txt over raw connections, against a backend that
# records. What counts is what the backend saw. After each case a canary on a connection of its own
# must get its own answer.
use strict;
use warnings;
use IO::Socket;
use lib 't/lib';
use Hostile;
use PasGate;
use Test::More;

use constant {
    ANSWER => 5,      # seconds that an answer may take
    HEADER => '2s',   # pasgate waits so long for a head (case 100)
    SETTLE => 0.5,    # and the recorder may lag so much
};

my $plan_file = tmp('plan');
my $backend = PasGate::Scripted->new(id => 'recorder', serve => \&serve);
reply_with('', 0, 0);
my $gate = PasGate->new(
    backends => [$backend],
    check    => 'type = "tcp"; interval = "250ms"; rise = 1; fall = 100;',
    pool     => 'retries = 1;',
    routes   => '{ path = "/"; pool = "pas"; }, { path = "/pas"; pool = "pas"; upstream_path = "/web"; }',
    global   => 'timeouts = { header = "' . HEADER . '"; }; limits = { body = "1024g"; };');

# ---- the backend: replies what the plan file says, to a canary its own name

sub reply_with { my ($reply, $eof, $early) = @_; spew($plan_file, join '', $eof ? 1 : 0, $early ? 1 : 0, $reply) }

sub serve
{
    my ($sock, $record) = @_;
    my $buf = '';
    my $more = sub {
        sysread $sock, my $some, 65536 or return 0;
        $record->($some);
        $buf .= $some;
        return 1;
    };
    my $say = sub {
        for (my $at = 0; $at < length $_[0];) {
            $at += syswrite($sock, $_[0], length($_[0]) - $at, $at) // return;
        }
    };
    while (1) {
        until ($buf =~ /\r\n\r\n/) { $more->() or return }
        $buf =~ s/^(.*?\r\n\r\n)//s;
        my $head = $1;
        if ($head =~ m{^GET /canary-(\d+)}) {
            $say->(sprintf "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\ncanary %s", 7 + length $1, $1);
            next;
        }
        my ($eof, $early, $reply) = slurp($plan_file) =~ /^(.)(.)(.*)/s;
        $say->($reply) if $early;
        if ($head =~ /^Content-Length: (\d+)/m) {
            my $n = $1;
            while (length $buf < $n) { $more->() or return }
            substr $buf, 0, $n, '';
        } elsif ($head =~ /^Transfer-Encoding: chunked/m) {
            # pasgate says every chunk anew, so the end cannot be taken for data but by design
            until ($buf =~ s/^(?:.*\r\n)?0\r\n\r\n//s) { $more->() or return }
        }
        $say->($reply) unless $early;
        return if $eof;
    }
}

# What it received since the last call.
my %had;
sub seen
{
    my $all = '';
    for my $file (sort glob "$backend->{dir}/*") {
        my $bytes = slurp($file);
        $all .= substr $bytes, $had{$file} // 0;
        $had{$file} = length $bytes;
    }
    return $all;
}

# ---- the client

# A connection that keeps all that it received.
package Raw {
    our @ISA = 'PasGate::Conn';
    sub fill
    {
        my ($self, @arg) = @_;
        my $before = length $self->{buf};
        my $n = $self->SUPER::fill(@arg);
        $self->{raw} .= substr $self->{buf}, $before;
        return $n;
    }
}

my $number = 0;

# A request that must get its own answer; '' or what was wrong.
sub canary
{
    my ($c) = @_;
    my $n = ++$number;
    my $r = $c->request('GET', "/canary-$n", host => 't.test', timeout => ANSWER);
    return $r->{status} == 200 && $r->{body} eq "canary $n" ? '' : "canary $n: $r->{status} $r->{body}";
}

sub shown { my ($s) = @_; return substr($s, 0, 600) =~ s/([^\x20-\x7e])/sprintf '\\x%02x', ord $1/ger }

# The statuses of all answers, as the case lists them.
sub statuses
{
    my ($c, $case) = @_;
    my ($method) = $case->{client} =~ /^\s*([A-Z]+)/;
    my $want = grep { $_ ne '100' } split ' ', $case->{expect};
    my @got;
    for (1 .. $want) {
        my $r = $c->response($method // 'GET', timeout => $case->{number} == 100 ? 10 : ANSWER);
        push @got, 100 if grep { m{^HTTP/1\.1 100} } @{ $r->{interim} };
        push @got, $r->{status} || 'drop';
        last unless $r->{status};
    }
    return "@got";
}

# Runs one case; returns all that was wrong.
sub run_case
{
    my ($case) = @_;
    my @wrong;
    my $wrong = sub { push @wrong, @_ };
    reply_with($case->{backend} // "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        $case->{'backend-eof'}, ($case->{note} // '') =~ /replies after the head/);
    my $c = bless $gate->connect(plain => ($case->{on} // '') ne 'tls', host => 'localhost'), 'Raw';
    $c->{raw} = '';
    $c->write($case->{client}, timeout => ANSWER);
    $c->half_close if $case->{eof};

    my $expect = $case->{expect};
    my $got = statuses($c, $case);
    my $raw = $c->{raw};
    # 100 may be left out when the body came with the head (RFC 9110 10.1.1)
    $wrong->("status $got, expected $expect") unless $got eq $expect || "100 $got" eq $expect;
    if (($case->{close} // '') eq 'yes') {
        $c->rest(ANSWER);
        $raw = $c->{raw};
        $wrong->('the connection stays open') unless $c->{eof};
    } elsif (my $bad = canary($c)) {
        $wrong->("on the same connection: $bad");
    }

    my $seen = '';
    my $missing = sub { grep { index($seen, $_) < 0 } @{ $case->{seen} } };
    wait_for { $seen .= seen(); !$missing->() } SETTLE;
    $seen =~ s{GET /canary-.*?\r\n\r\n}{}sg;
    $wrong->('the backend saw something') if $case->{nothing} && $seen ne '';
    $wrong->(map { 'not seen: ' . shown($_) } $missing->());
    $wrong->(map { 'seen: ' . shown($_) } grep { index($seen, $_) >= 0 } @{ $case->{unseen} });
    $wrong->('seen twice') if ($case->{note} // '') eq 'seen once' && (() = $seen =~ m{^\w+ /\w* HTTP}mg) > 1;
    if (defined $case->{body}) {
        my ($head, $body) = split /\r\n\r\n/, $seen, 2;
        $body //= '';
        $body = PasGate::Conn::unchunk($body) if $head =~ /^Transfer-Encoding/m;
        $wrong->('body seen: ' . shown($body)) unless $body eq $case->{body};
    }
    $wrong->(map { 'not got: ' . shown($_) } grep { index($raw, $_) < 0 } @{ $case->{got} });
    $wrong->(map { 'got: ' . shown($_) } grep { index($raw, $_) >= 0 } @{ $case->{ungot} });
    $c->close;

    reply_with('', 0, 0);
    my $other = $gate->connect(plain => 1);
    my $bad = canary($other);
    $wrong->("on another connection: $bad") if $bad;
    $other->close;
    seen();
    push @wrong, 'seen: ' . shown($seen), 'got: ' . shown($raw) if @wrong;
    return @wrong;
}

sub PasGate::Conn::unchunk
{
    my ($bytes) = @_;
    my $out = '';
    while ($bytes =~ s/^([0-9a-f]+)\r\n//i) {
        $out .= substr $bytes, 0, hex $1, '';
        $bytes =~ s/^\r\n//;
    }
    return $out;
}

seen();    # the probes while it started
my $only = $ENV{CASE};    # CASE=44b runs one, CASE=44 all of a number
for my $case (Hostile::cases()) {
    next if $only && $case->{id} ne $only && $case->{number} ne $only;
    next if ($case->{by} // '') eq 'later';
    my @wrong = eval { run_case($case) };
    push @wrong, $@ if $@;
    ok(!@wrong, "$case->{id} $case->{name}") or diag(join "\n", @wrong);
}
$gate->stop_ok;
done_testing;
