# Certificates: what is live from the first second, what replaces it, and what does not.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use IO::Socket::SSL;
use Test::More;

my $pas = PasGate::StandIn->new('pas1');

# The certificate that a client gets a client that asks for $name: (subject, fingerprint).
sub served
{
    my ($gate, $name) = @_;
    my $sock = IO::Socket::SSL->new(
        PeerAddr => '127.0.0.1', PeerPort => $gate->{tls}, SSL_hostname => $name,
        SSL_verify_mode => SSL_VERIFY_NONE, Timeout => 10
    ) or return ("no TLS: $SSL_ERROR", '');
    my @got = ($sock->peer_certificate('cn') // '', $sock->get_fingerprint);
    $sock->close;
    return @got;
}

sub cn { return (served(@_))[0] }

sub files
{
    my ($name, $chain, $key) = @_;
    return qq({ names = [ "$name" ]; chain = "$chain"; key = "$key"; });
}

sub row
{
    my ($gate, $name) = @_;
    my ($row) = grep { $_->{name} eq $name } @{ $gate->status->{certificates} // [] };
    return $row // {};
}

subtest 'nothing there yet: self-signed, and kept' => sub {
    my $gate = PasGate->new(backends => [$pas], certs => '{ names = [ "new.test", "*.new.test" ]; acme = true; }');
    my ($cn, $print) = served($gate, 'new.test');
    is $cn, 'new.test', 'served at once';
    is cn($gate, 'www.new.test'), 'new.test', 'for its wildcard too';
    $gate->stop_ok;
    $gate->start;
    is +(served($gate, 'new.test'))[1], $print, 'the same one after a restart';
    $gate->stop_ok;
};

subtest 'files: replaced, spoiled, repaired' => sub {
    my ($chain, $key) = PasGate::make_cert('shop', 'shop.test');
    my $gate = PasGate->new(backends => [$pas], workers => 2, certs => files('shop.test', $chain, $key));
    my (undef, $first) = served($gate, 'shop.test');
    PasGate::make_cert('shop', 'shop.test');
    my $second;
    ok wait_for { $second = (served($gate, 'shop.test'))[1]; $second ne $first }, 'a new pair goes live by itself';
    my $good = PasGate::slurp($key);
    PasGate::make_cert('other', 'other.test');
    PasGate::spew($key, PasGate::slurp(PasGate::tmp('other.key')));
    ok $gate->wait_log(qr/does not match/), 'a key of another certificate is told';
    is row($gate, 'shop.test')->{error}, 'the key does not match the certificate', 'also in the status';
    is +(served($gate, 'shop.test'))[1], $second, 'and the old pair serves on';
    unlink $key;
    ok $gate->wait_log(qr/cannot open .*shop\.key: No such file/), 'a missing key is told';
    is +(served($gate, 'shop.test'))[1], $second, 'the old pair serves on';
    PasGate::spew($key, $good);
    ok wait_for { (row($gate, 'shop.test')->{error} // 'x') eq '' }, 'repaired: no complaint is left';
    is +(served($gate, 'shop.test'))[1], $second, 'and the same pair is live';
    $gate->stop_ok;
};

# The list of revoked certificates cannot be read, so the new pair may be on it. A live one that
# browsers refuse anyway makes way nevertheless.
subtest 'files, and a list that cannot be read' => sub {
    my ($chain, $key) = PasGate::make_cert('ends', 'ends.test');
    my $store = PasGate::tmp('ends-store');
    rename PasGate::make_dated(PasGate::tmp('ends.csr'), -30, -1, 'DNS:ends.test'), $chain or die;
    my $gate = PasGate->new(backends => [$pas], certs => files('ends.test', $chain, $key), global => qq(acme = { store = "$store"; };));
    my (undef, $expired) = served($gate, 'ends.test');
    symlink 'nowhere', "$store/certs/.revoked" or die "$store: $!";
    PasGate::make_cert('ends', 'ends.test');
    my $second;
    ok wait_for { $second = (served($gate, 'ends.test'))[1]; $second ne $expired }, 'what replaces an expired one goes live' or $gate->tell;
    PasGate::make_cert('ends', 'ends.test');
    ok $gate->wait_log(qr/list of revoked certificates cannot be read; the live certificate stays until it can/), 'what replaces a good one waits'
      or $gate->tell;
    is +(served($gate, 'ends.test'))[1], $second, 'the good one serves on';
    unlink "$store/certs/.revoked";
    ok wait_for { (served($gate, 'ends.test'))[1] ne $second }, 'until the list can be read' or $gate->tell;
    $gate->stop_ok;
};

# A client of the last name, there before pasgate is, never meets the certificate of the first.
subtest 'no name is answered with the certificate of another at a start' => sub {
    my @first = PasGate::make_cert('first', 'first.test');
    my @many  = PasGate::make_cert('many', '*.many.test');
    my $gate = PasGate->new(backends => [$pas], workers => 2, certs => files('first.test', @first));
    $gate->stop_ok;
    $gate->write_config(certs => join ', ', files('first.test', @first), map { files("n$_.many.test", @many) } 1 .. 30);
    my @seen;
    for (1 .. 3) {
        system 'rm', '-rf', "$gate->{dir}/store";
        no warnings 'redefine';
        local *PasGate::serving = sub {
            my ($cn, $print) = served($gate, 'n30.many.test');
            push @seen, $cn if $print;
            return $print ne '';
        };
        $gate->start;
        $gate->stop_ok;
    }
    is_deeply \@seen, [('*.many.test') x 3], 'each first client got its own';
};

# acmed runs unprivileged: the supervisor opens what only its own user, root, may read.
subtest 'a key in a folder that only the one who started pasgate may enter' => sub {
    my ($chain, $key) = PasGate::make_cert('secret', 'secret.test');
    my $safe = PasGate::tmp('safe');
    mkdir $safe, 0700 or die "$safe: $!";
    rename $key, "$safe/key.pem" or die "$safe: $!";
    chmod 0600, "$safe/key.pem";
    my $gate = PasGate->new(backends => [$pas], certs => files('secret.test', $chain, "$safe/key.pem"));
    ok wait_for { cn($gate, 'secret.test') eq 'secret.test' && row($gate, 'secret.test')->{source} eq 'file' },
      'it serves';
    my ($acmed) = grep { $_->{kind} eq 'acmed' && $_->{pid} } @{ $gate->status->{children} };
    my $uid = (stat "/proc/$acmed->{pid}")[4];
    ok $> != 0 || $uid != 0, "acmed's user is $uid, not root";
    $gate->stop_ok;
};

# A fresh start is refused; where the store has the pair before them, that is served (86-check.t).
subtest 'files that are no good at the start' => sub {
    my ($chain, $key) = map { PasGate::tmp("late.$_") } qw(pem key);
    PasGate::spew($_, "to be filled in\n") for $chain, $key;
    my $gate = PasGate->new(backends => [$pas], certs => files('late.test', $chain, $key), start => 0);
    my ($code, $text) = run_cmd(PasGate::binary(), 'run', '-c', $gate->{conf});
    is $code, 78, 'it does not start';
    like $text, qr/late\.test: the chain file holds no certificate/, 'and says why';
    PasGate::make_cert('late', 'late.test');
    $gate->start;
    is cn($gate, 'late.test'), 'late.test', 'they come, and it does';
    is row($gate, 'late.test')->{source}, 'file', 'with these';
    $gate->stop_ok;
};

# acmed is replaced after the workers, which serve what they have until then.
subtest 'a reload is told when its certificates are served' => sub {
    my $self_signed = '{ names = [ "told.test" ]; self_signed = true; }';
    my $gate = PasGate->new(backends => [$pas], workers => 2, certs => $self_signed);
    my @pair = PasGate::make_cert('told', 'told.test');
    for my $certs (files('told.test', @pair), $self_signed) {
        my $before = (served($gate, 'told.test'))[1];
        $gate->write_config(certs => $certs);
        my ($code, $out) = $gate->cli('reload');
        my %got = map { ((served($gate, 'told.test'))[1] => 1) } 1 .. 10;
        is $code, 0, 'reloaded' or diag $out;
        is join(' ', keys %got) eq $before, '', 'none of ten clients gets the one before';
        is keys %got, 1, 'all get the same';
    }
    $gate->stop_ok;
};

subtest 'a reload that puts another one first' => sub {
    my @a = PasGate::make_cert('a', 'a.test');
    my @b = PasGate::make_cert('b', 'b.test');
    my $gate = PasGate->new(backends => [$pas], workers => 2, certs => files('a.test', @a));
    is cn($gate, 'a.test'), 'a.test', 'one certificate';
    $gate->write_config(certs => files('b.test', @b) . ', ' . files('a.test', @a));
    my ($code, $said) = $gate->cli('reload');
    is $code, 0, 'reload' or diag $said;
    ok wait_for { cn($gate, 'b.test') eq 'b.test' }, 'the new one is served';
    is cn($gate, 'a.test'), 'a.test', 'the old one too' for 1 .. 4;
    $gate->write_config(certs => files('a.test', @a) . ', ' . files('b.test', @b));
    is +($gate->cli('reload'))[0], 0, 'exchanged';
    for (1 .. 4) {
        is cn($gate, 'a.test'), 'a.test', 'each name gets its own';
        is cn($gate, 'b.test'), 'b.test', 'each name gets its own';
    }
    $gate->stop_ok;
};

# Only acmed writes the list of revoked certificates while it runs.
subtest 'a marked one is not deleted before the list has it' => sub {
    my @files = PasGate::make_cert('kept', 'kept.test');
    my $gate  = PasGate->new(backends => [$pas], certs => files('kept.test', @files));
    my $certs = "$gate->{dir}/store/certs";
    system('cp', '-a', "$certs/kept.test", "$certs/old") == 0 or die "$certs: $!";
    PasGate::spew("$certs/old/1/revoked", "reason=4\n");
    my ($code, $said) = $gate->cli('cert', 'delete', 'old', '--force');
    is $code, 1, 'it is refused';
    like $said, qr/old was revoked, and \S+\.revoked, which would remember that, does not have it.*service could not write it/, 'with the reason';
    ok -d "$certs/old/1", 'nothing was deleted';
    unlink "$certs/old/1/revoked";
    is +($gate->cli('cert', 'delete', 'old', '--force'))[0], 0, 'one without a mark is' or diag $said;
    ok !-e "$certs/old", 'deleted';
    $gate->stop_ok;
};

done_testing;
