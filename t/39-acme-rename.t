#!/usr/bin/perl
# Certificates are called otherwise, and their CA is down: what the store has for their names is
# served at each moment, whatever its folder is called and however many others stand beside it.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use IO::Socket::SSL;
use PasGate;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

my $pas = PasGate::StandIn->new('pas1');
my $down = free_port();
my $stores = 0;

sub fresh_store
{
    my $store = tmp('store' . ++$stores);
    mkdir $_ and chmod 0777, $_ for $store, "$store/certs";
    return $store;
}

# A pair as the CA's in the store, by make_cert() or with its days; the link only if asked.
sub put
{
    my ($store, $folder, $generation, $from, $link) = @_;
    my $at = "$store/certs/$folder/$generation";
    mkdir $_ and chmod 0777, $_ for "$store/certs/$folder", $at;
    spew("$at/fullchain.pem", slurp($from->[0]));
    spew("$at/key.pem",       slurp($from->[1]));
    spew("$at/meta",          "source=acme\n");
    chmod 0644, "$at/fullchain.pem", "$at/key.pem", "$at/meta";
    make_current($store, $folder, $generation) if $link;
    return;
}

sub make_current
{
    my ($store, $folder, $generation) = @_;
    unlink "$store/certs/$folder/current";
    return symlink $generation, "$store/certs/$folder/current";
}

# A pair for these names that lasts so many days.
sub lasting
{
    my ($id, $days, @names) = @_;
    my (undef, $key) = PasGate::make_cert($id, @names);
    rename PasGate::make_dated(tmp("$id.csr"), -1, $days, join ',', map { "DNS:$_" } @names), tmp("$id.dated");
    return [tmp("$id.dated"), $key];
}

sub leaf { return slurp($_[0][0]) =~ /(-----BEGIN CERT.*?-----END CERTIFICATE-----\n)/s ? $1 : '' }

sub gate
{
    my ($store, $certs, %opt) = @_;
    return PasGate->new(backends => [$pas], no_probe => 1, certs => $certs, %opt,
        global => qq(acme = { store = "$store"; directory = "https://127.0.0.1:$down/dir"; };));
}

sub cert { return '{ names = [ ' . join(', ', map { qq("$_") } @_) . ' ]; }' }

sub sources { return join ' ', sort map { $_->{source} . ($_->{loaded} ? '' : ', not loaded') } @{ $_[0]->status->{certificates} // [] } }

# Looks without a pause at what is served for these names, while $what goes on; what was seen,
# name by name, but for what was to be.
sub watched
{
    my ($gate, $want, $what) = @_;
    my ($out, $parent) = (tmp('seen'), $$);
    spew($out, '');
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        my %seen;
        open my $to, '>>', $out or POSIX::_exit(1);
        $to->autoflush(1);
        while (getppid() == $parent) {
            for my $name (sort keys %$want) {
                my $got = served($gate, $name);
                print $to "$name: ", $got eq '' ? 'no TLS' : $got =~ s/\s//gr, "\n"
                  if $got ne $want->{$name} && !$seen{"$name $got"}++;
                sleep 0.002;
            }
            print $to "looked\n" if !$seen{''}++;
        }
        POSIX::_exit(0);
    }
    wait_for { slurp($out) =~ /looked/ };
    $what->();
    sleep 0.2;
    kill 'KILL', $pid;
    waitpid $pid, 0;
    return slurp($out) =~ s/^looked\n//mr;
}

# Whether each certificate of this configuration, by its name, has one of the CA that is loaded.
sub all_taken
{
    my ($gate, $certs) = @_;
    my $want = join ' ', map { "$_ acme" } sort $certs =~ /\{ (?:name = |names = \[ )"([^"]+)"/g;
    return $want eq join ' ', sort map { "$_->{name} $_->{source}" } grep { $_->{loaded} } @{ $gate->status->{certificates} // [] };
}

# Another configuration by a reload, until acmed has taken over all of it; '' if nothing else than
# before was served.
sub reloaded
{
    my ($gate, $want, $certs) = @_;
    my $trouble = '';
    my $seen = watched($gate, $want, sub {
        $gate->write_config(certs => $certs);
        my ($code, $said) = $gate->cli('reload');
        $trouble = "reload: $said" if $code;
        wait_for { all_taken($gate, $certs) } 60 or $trouble .= 'in the end: ' . sources($gate);
    });
    return $seen . $trouble;
}

subtest 'forty, with their names in another order' => sub {
    my $store = fresh_store();
    my $n     = 40;
    my %want;
    for my $i (1 .. $n) {
        my @pair = PasGate::make_cert("forty$i", "n$i.test", "m$i.test");
        put($store, "n$i.test", 3, \@pair, 1);
        $want{"n$i.test"} = $want{"m$i.test"} = leaf(\@pair) if $i == 1 || $i == 20 || $i == $n;
    }
    my $gate = gate($store, join(', ', map { cert("n$_.test", "m$_.test") } 1 .. $n), workers => 2);
    is reloaded($gate, \%want, join(', ', map { cert("m$_.test", "n$_.test") } 1 .. $n)), '',
        'nobody is served another one' or $gate->tell;
    is reloaded($gate, \%want, join(', ', map { cert("n$_.test", "m$_.test") } 1 .. $n)), '', 'nor on the way back';
    my $mixed = join ', ', map { $_ % 2 ? cert("m$_.test", "n$_.test") : cert("n$_.test", "m$_.test") } 1 .. $n;
    is reloaded($gate, \%want, $mixed), '', 'nor when some only are called otherwise';
    unlike $gate->log_text, qr/a self-signed one is served/, 'no worker stood in';
    $gate->stop_ok;
};

subtest 'of a pair that no certificate had' => sub {
    my $store = fresh_store();
    my @old   = PasGate::make_cert('old', 'old.test');
    my @good  = PasGate::make_cert('good', 'good.test', '*.good.test', '192.0.2.7');
    put($store, 'old.test',  1, \@old,  1);
    put($store, 'elsewhere', 7, \@good, 1);
    my $gate = gate($store, cert('old.test'));
    $gate->write_config(certs => cert('192.0.2.7', 'www.good.test', '*.good.test'));
    is watched($gate, { 'old.test' => leaf(\@old) }, sub { 1 }), '', 'one certificate';
    is +($gate->cli('reload'))[0], 0, 'another one instead of it';
    is served($gate, 'www.good.test'), leaf(\@good), 'at once the one that the store has' or $gate->tell;
    ok wait_for { all_taken($gate, cert('192.0.2.7')) }, 'which acmed takes';
    unlike $gate->log_text, qr/a self-signed one is served/, 'no worker stood in';
    $gate->stop_ok;
};

subtest 'which of them' => sub {
    my $store = fresh_store();
    my ($old, $back, $long) = map { lasting(@$_, 'a.test', 'b.test') } ['one', 25], ['back', 5], ['long', 28];

    # First called x, where the long one was live; as a.test it was rolled back from that.
    put($store, 'x', 9, $long, 1);
    put($store, 'a.test', 12, $old);
    put($store, 'a.test', 13, $long);
    put($store, 'a.test', 14, $back);
    sleep 0.02;
    make_current($store, 'a.test', 14);
    my $gate = gate($store, cert('b.test', 'a.test'));
    is served($gate), leaf($back), 'after a restart: that which was rolled back to' or $gate->tell;
    is reloaded($gate, { 'a.test' => leaf($back) }, '{ name = "c"; names = [ "a.test", "b.test" ]; }'), '',
        'and after a reload';
    $gate->stop_ok;

    # The live one is spoilt: the next best.
    spew("$_/key.pem", 'none') for glob("$store/certs/b.test/*[0-9] $store/certs/c/*[0-9]"), "$store/certs/a.test/14";
    $gate->write_config(certs => '{ name = "d"; names = [ "b.test", "a.test" ]; }');
    $gate->start;
    is served($gate), leaf($long), 'what is spoilt is passed over' or $gate->tell;
    $gate->stop_ok;
};

subtest 'its own folder has a self-signed one' => sub {
    my $store = fresh_store();
    my $gate  = gate($store, cert('s.test'));
    is sources($gate), 'self-signed', 'nothing else yet';
    $gate->stop_ok;
    my @good = PasGate::make_cert('s', 's.test');
    put($store, 'elsewhere', 2, \@good, 1);
    $gate->start;
    is sources($gate), 'acme', 'what stands elsewhere is better';
    is served($gate), leaf(\@good), 'and served';
    $gate->stop_ok;
};

# For acmed there would be time to hear of it; the worker that bridges has to know by itself.
subtest 'what was revoked' => sub {
    my $store = fresh_store();
    my @old   = PasGate::make_cert('first', 'first.test');
    my @bad   = PasGate::make_cert('bad', 'bad.test');
    my ($hex) = (run_cmd('openssl', 'x509', '-in', $bad[0], '-noout', '-fingerprint', '-sha256'))[1] =~ /=([0-9A-F:]+)/;
    put($store, 'first.test', 1, \@old, 1);
    put($store, 'elsewhere',  1, \@bad, 1);
    spew("$store/certs/.revoked", lc($hex =~ s/://gr) . '=' . 'a' x 64 . " 1 4 4102444800000\n");
    chmod 0644, "$store/certs/.revoked";
    my $gate = gate($store, cert('first.test'));
    $gate->write_config(certs => cert('first.test') . ', ' . cert('bad.test'));
    my $seen = watched($gate, { 'first.test' => leaf(\@old) }, sub { is +($gate->cli('reload'))[0], 0, 'a reload asks for its name' });
    is $seen, '', 'the other is served';
    my $got = served($gate, 'bad.test');
    ok $got && $got ne leaf(\@bad), 'it is not';
    unlike $gate->log_text, qr/these are served until acmed/, 'nor was it ever';
    $gate->stop_ok;
};

# Nobody knows whether it was revoked: the worker that bridges does not use it, nor does acmed,
# which takes it as soon as it knows.
my %unreadable = (
    'a link' => [sub { symlink 'nowhere', $_[0] }, qr/Too many levels/],
    'a FIFO' => [sub { POSIX::mkfifo($_[0], 0644) }, qr/it is not a regular file/]);
for my $what (sort keys %unreadable) { subtest "what may have been revoked: the list is $what" => sub {
    my ($make, $why) = @{ $unreadable{$what} };
    my $store = fresh_store();
    my @old   = PasGate::make_cert('known', 'known.test');
    my @good  = PasGate::make_cert('maybe', 'maybe.test');
    put($store, 'known.test', 1, \@old,  1);
    put($store, 'elsewhere',  1, \@good, 1);
    $make->("$store/certs/.revoked") or die;
    my $gate = gate($store, cert('known.test'));
    my $both = cert('known.test') . ', ' . cert('maybe.test');
    $gate->write_config(certs => $both);
    my $seen = watched($gate, { 'known.test' => leaf(\@old) }, sub { is +($gate->cli('reload'))[0], 0, 'a reload asks for its name' });
    is $seen, '', 'the other is served';
    isnt served($gate, 'maybe.test'), leaf(\@good), 'it is not';
    unlike $gate->log_text, qr/these are served until acmed/, 'nor was it ever';
    like $gate->log_text, qr/worker.*cannot read the list of revoked certificates .*: $why.*no certificate that the store has under another name is used/,
        'a worker tells why';
    unlink "$store/certs/.revoked";
    ok wait_for { all_taken($gate, $both) && served($gate, 'maybe.test') eq leaf(\@good) }, 'the list can be read: it is taken' or $gate->tell;
    $gate->stop_ok;
} }

subtest 'among a thousand folders that are no good' => sub {
    my $store = fresh_store();
    my @good  = PasGate::make_cert('z', 'z.test');
    my @old   = PasGate::make_cert('y', 'y.test');
    put($store, 'y.test', 1, \@old, 1);
    put($store, 'm',      1, \@good, 1);
    for my $i (1 .. 1000) {
        mkdir "$store/certs/bad$i";
        mkdir "$store/certs/bad$i/1";
        spew("$store/certs/bad$i/1/$_", "damaged\n") for qw(fullchain.pem key.pem);
        make_current($store, "bad$i", 1);
    }
    my $gate = gate($store, cert('y.test'));
    is reloaded($gate, { 'y.test' => leaf(\@old) }, cert('y.test') . ', { name = "z3"; names = [ "z.test" ]; }'), '',
        'one more certificate, a reload';
    is served($gate, 'z.test'), leaf(\@good), 'it is found' or $gate->tell;
    unlike $gate->log_text, qr/were not searched/, 'none was left out';
    $gate->stop_ok;
};

done_testing;
