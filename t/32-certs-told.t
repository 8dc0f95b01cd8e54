# What is wrong with configured files, or with the store that another service uses, is told once per
# cause, is shown where an operator looks for as long as it lasts, and its end is told.
use strict;
use warnings;
use lib 't/lib';
use Fcntl ':flock';
use PasGate;
use Test::More;

my $pas = PasGate::StandIn->new('pas1');

sub certs { my ($chain, $key) = @_; return qq({ names = [ "shop.test" ]; chain = "$chain"; key = "$key"; }) }
sub row { return $_[0]->status->{certificates}[0] // {} }
sub told { my ($gate, $re) = @_; return scalar(() = $gate->log_text =~ /^.*certificate shop\.test: .*$re.*$/mg) }

# A look at the store comes every 5 s, one at the files every 2 s: at least two of each.
sub stays { my ($of, $name) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; ok !(wait_for { !$of->() } 11), $name }

my @pair = PasGate::make_cert('shop', 'shop.test');
my $gate = PasGate->new(backends => [$pas], certs => certs(@pair));
my $store = "$gate->{dir}/store";
my @good  = map { PasGate::slurp($_) } @pair;

# The list of revoked certificates cannot be read, so no other pair goes live.
subtest 'a pair that is refused' => sub {
    ok wait_for { row($gate)->{source} eq 'file' }, 'a pair is live' or $gate->tell;
    symlink 'nowhere', "$store/certs/.revoked" or die;
    PasGate::make_cert('shop', 'shop.test');
    my $why = qr/the list of revoked certificates cannot be read; the live certificate stays until it can/;
    ok $gate->wait_log(qr/certificate shop\.test: $why/), 'is told' or $gate->tell;
    ok wait_for { row($gate)->{error} =~ $why }, 'is in the status';
    like +($gate->cli('cert', 'list'))[1] =~ s/\s+/ /gr, $why, 'and in the list';
    unlink $pair[1];
    ok $gate->wait_log(qr/cannot open .*shop\.key/), 'another cause is told, too' or $gate->tell;
    ok wait_for { row($gate)->{error} =~ /cannot open/ }, 'and shown';
    PasGate::spew($pair[$_], $good[$_]) for 0, 1;
    ok $gate->wait_log(qr/certificate shop\.test: its files hold the live pair again; generation 1 stays live/), 'its end is told'
      or $gate->tell;
    is row($gate)->{error}, '', 'nothing is wrong any more';
    is told($gate, $why), 1, 'each was told once';
    is told($gate, qr/cannot open/), 1, 'each of them';
    unlink "$store/certs/.revoked";
    $gate->stop_ok;
};

subtest 'a store that another service uses' => sub {
    open my $other, '<', "$store/certs" or die "$store/certs: $!";
    flock $other, LOCK_EX | LOCK_NB or die "flock: $!";
    my $from = length $gate->log_text;
    $gate->start;
    my $log = sub { return substr $gate->log_text, $from };
    my $n = sub { my ($re) = @_; return scalar(() = $log->() =~ /$re/g) };
    ok wait_for { row($gate)->{error} =~ /another pasgate uses it/ }, 'the status tells it' or $gate->tell;

    # The other one makes live what cannot be used here; and the files here are spoiled.
    my $folder = "$store/certs/shop.test";
    mkdir "$folder/7" or die;
    PasGate::spew("$folder/7/$_", "no certificate\n") for 'fullchain.pem', 'key.pem';
    PasGate::spew("$folder/7/meta", "source=file\n");
    symlink '7', "$folder/.new-current" or die;
    rename "$folder/.new-current", "$folder/current" or die;
    PasGate::make_cert('other', 'other.test');
    PasGate::spew($pair[1], PasGate::slurp(PasGate::tmp('other.key')));
    ok $gate->wait_log(qr/generation 7 of the store/, 20, $from), 'what it made live is told' or $gate->tell;
    ok $gate->wait_log(qr/does not match/, 20, $from), 'and the files' or $gate->tell;
    ok wait_for { (row($gate)->{notes}[0] // '') =~ /does not match/ }, 'which are a note' or $gate->tell;
    stays(sub { $n->(qr/generation 7 of the store/) == 1 && $n->(qr/does not match/) == 1 && $n->(qr/another pasgate uses it/) == 1
          && row($gate)->{error} =~ /another pasgate uses it/ }, 'each once') or $gate->tell;

    close $other;
    ok $gate->wait_log(qr/the store \S+ can be used now/, 20, $from), 'that it is ours is told';
    ok wait_for { row($gate)->{error} =~ /does not match/ && !@{ row($gate)->{notes} // [] } }, 'the files are left' or $gate->tell;
    PasGate::spew($pair[1], $good[1]);
    ok wait_for { row($gate)->{error} eq '' }, 'until they are repaired' or $gate->tell;
    is $n->(qr/does not match/), 1, 'they were told once';
    $gate->stop_ok;
};

done_testing;
