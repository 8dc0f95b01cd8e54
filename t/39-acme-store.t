#!/usr/bin/perl
# Stores in trouble while certificates are ordered: full, read-only, unreadable, in use by
# another pasgate. What serves goes on, the status tells, nothing is ordered for nothing, and it
# gets well by itself or by the next try.
use strict;
use warnings;
use lib 't/lib';
use Cwd ();

# Mounts need a mount namespace, which a user that is not root has inside one of users.
BEGIN {
    if (!defined $ENV{PASGATE_T_USER}) {
        $ENV{PASGATE_T_USER} = $>;
        exec 'unshare', ($> ? '-Urm' : '-m'), '--', $^X, $0 or die "unshare: $!";
    }
}

use AcmeGate;
use FaultProxy;
use PasGate;
use Pebble;
use Test::More;

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

# Back to the user that it was: root in a namespace of users is not as root elsewhere.
if (my $user = $ENV{PASGATE_T_USER}) {
    my $real = Cwd::abs_path(PasGate::binary());
    $ENV{PASGATE} = spew(tmp('as-user'), "#!/bin/sh\nexec unshare -U --map-user=$user --map-group=$user -- $real \"\$@\"\n");
    chmod 0755, $ENV{PASGATE};
}

my @mounted;
END { local $?; run_cmd('umount', '-l', $_) for @mounted }

sub mounted
{
    my ($name, $size, $more) = @_;
    my $folder = tmp($name);
    mkdir $folder;
    my ($code, $said) = run_cmd('mount', '-t', 'tmpfs', '-o', "size=$size,mode=0777" . ($more // ''), 'tmpfs', $folder);
    die "mount: $said" if $code;
    push @mounted, $folder;
    return $folder;
}

# Without the options that it has: uid= among them does not exist in a namespace of users. While
# a file is being written it cannot become read-only.
sub remount
{
    my ($folder, $how) = @_;
    my $said;
    wait_for {
        (my $code, $said) = run_cmd('mount', '--options-mode=ignore', '-t', 'tmpfs', '-o', "remount,$how", 'tmpfs', $folder);
        !$code;
    } or die "remount: $said";
}

sub orders { my ($ca) = @_; return $ca->said(qr/Added order "/) }

subtest 'a store of 64 KiB' => sub {
    my $ca = Pebble->new;
    my $folder = mounted('small', '64k');
    my $gate = acme_gate($ca, store => "$folder/store");
    ok wait_row($gate, sub { $_->{error} }), 'the status tells it' or $gate->tell;
    like cert_row($gate)->{error}, qr{^the store \S+/small/store is full; nothing is ordered}, 'in words: ' . cert_row($gate)->{error};
    is cert_row($gate)->{source}, 'self-signed', 'something is served';
    is orders($ca), 0, 'and nothing was ordered';
    is state_of($gate)->{failures} // 0, 0, 'which is no failure of the CA';
    remount($folder, 'size=4m');
    ok wait_row($gate, sub { $_->{source} eq 'acme' }, 30), 'there is space: it comes by itself' or $gate->tell;
    is verified($gate, $ca, 'shop.test'), '', 'and is served';
    is cert_row($gate)->{error}, '', 'nothing is wrong any more';
    is +($gate->cli('cert', 'renew', 'www.shop.test', '--force'))[0], 0, 'another one, to roll back from';
    run_cmd('sh', '-c', "dd if=/dev/zero of=$folder/fill bs=1k 2>/dev/null; :");
    my ($code, $said) = $gate->cli('cert', 'rollback', 'www.shop.test');
    is $code, 1, 'no rollback without space';
    like $said, qr{certificate www\.shop\.test: cannot write to the store \S+: No space left on device$}, 'for that reason';
    ($code, $said) = $gate->cli('cert', 'renew', 'www.shop.test', '--force');
    like $said, qr{the store \S+ is full; nothing is ordered}, 'nor an order';
    unlink "$folder/fill";
    ok wait_row($gate, sub { $_->{error} eq '' }, 30), 'there is space: nothing is wrong any more' or $gate->tell;
    $gate->stop_ok;
    $ca->end;
};

# What is the host's fault is no failure of the CA, and over when it is over.
subtest 'no inodes, and an account that cannot be opened' => sub {
    my $ca = Pebble->new;
    my $folder = mounted('inodes', '4m', ',nr_inodes=300');
    my $gate = acme_gate($ca, store => "$folder/store");
    ok wait_issued($gate), 'issued' or $gate->tell;
    my $fails = sub {
        my ($pattern, $what) = @_;
        my ($code, $said) = $gate->cli('cert', 'renew', 'www.shop.test', '--force');
        is $code, 1, "$what: not renewed";
        like $said, $pattern, 'for that reason';
        is state_of($gate)->{failures}, 0, 'which is no failure of the CA';
        is orders($ca), 1, 'nothing is ordered';
        my ($told) = grep { /not ordered: $pattern/ } reverse split /\n/, $gate->log_text;
        like $told, qr/; next try \d{4}-\S+$/, 'told with the time of the next one, since this is not due';
    };
    my $over = sub {
        ok wait_row($gate, sub { $_->{error} eq '' }, 30), 'it is over: nothing is wrong any more' or $gate->tell;
    };
    my $n = 0;
    $n++ while open my $file, '>', "$folder/fill$n";
    $fails->(qr{the store \S+/inodes/store has no inodes left for files; nothing is ordered}, 'no inodes');
    unlink glob "$folder/fill*";
    $over->();

    $gate->stop_ok;
    rename "$folder/store/accounts", "$folder/store/aside" or die;
    symlink 'aside', "$folder/store/accounts" or die;
    $gate->start;
    $fails->(qr{cannot write to the store \S+/inodes/store: Not a directory}, 'the accounts are a link');
    unlink "$folder/store/accounts";
    rename "$folder/store/aside", "$folder/store/accounts" or die;
    $over->();
    is +($gate->cli('cert', 'renew', 'www.shop.test', '--force'))[0], 0, 'and it is renewed when asked';
    $gate->stop_ok;
    $ca->end;
};

subtest 'a store that is full when the certificate comes' => sub {
    my $ca = Pebble->new;
    my $folder = mounted('filled', '1m');
    my $proxy = FaultProxy->new($ca, [qr{^/finalize}, 0, sub { system "cat /dev/zero >$folder/zeros 2>&1" if -e tmp('fill'); return }]);
    my $gate = acme_gate($ca, store => "$folder/store", directory => $proxy->directory);
    ok wait_issued($gate), 'issued' or $gate->tell;
    my $old = served($gate);
    my $generation = cert_row($gate)->{generation};
    spew(tmp('fill'), '');    # when the CA is to make the certificate
    my ($code, $said) = $gate->cli('cert', 'renew', 'www.shop.test', '--force');
    is $code, 1, 'it cannot be kept';
    like cert_row($gate)->{error}, qr{cannot write to the store \S+/store: No space left}, 'which the status tells: ' . cert_row($gate)->{error};
    is served($gate), $old, 'the old one serves';
    is cert_row($gate)->{generation}, $generation, 'as the generation that it was';
    ok !cert_row($gate)->{failures}, 'which is no failure of the CA';
    unlike $gate->log_text, qr/failure \d+: cannot write/, 'in the log, too';
    like $gate->log_text, qr/not ordered: cannot write to the store \S+: No space left on device; tried every 60 s/, 'it is tried again soon';
    # Not by deleting what fills it: the space of a file may come back a moment later.
    remount($folder, 'size=4m');
    unlink tmp('fill');
    ($code, $said) = $gate->cli('cert', 'renew', 'www.shop.test');
    ok $code == 0 || $said =~ /it is not due yet/, 'there is space again: it comes, or has come by itself on a slow host' or diag $said, $gate->log_text;
    isnt served($gate), $old, 'and serves';
    is verified($gate, $ca, 'shop.test'), '', 'verified';
    is orders($ca), 2, 'of the order that there was';

    $old = served($gate);
    remount($folder, 'ro');
    ($code, $said) = $gate->cli('cert', 'renew', 'www.shop.test', '--force');
    is $code, 1, 'a store that cannot be written to';
    my $says = qr{cannot write to the store \S+/store/certs\S*: Read-only file system};
    like $said, $says, 'is told';
    like cert_row($gate)->{notes}[0], $says, 'the status has it';
    is orders($ca), 2, 'nothing is ordered';
    $gate->stop_ok;
    $gate->start;
    is served($gate), $old, 'a restart serves what is there';
    is orders($ca), 2, 'and orders nothing';
    remount($folder, 'rw');
    ($code, $said) = $gate->cli('cert', 'renew', 'www.shop.test', '--force');
    is $code, 0, 'writable again: renewed' or diag $said;
    is orders($ca), 3, 'with one order';

    $old = served($gate);
    my ($certs) = "$folder/store/certs";
    my $mode = (stat $certs)[2] & 07777;
    chmod 0, $certs;
    my ($pid) = $gate->pids('acmed');
    kill 'KILL', $pid;
    ok wait_row($gate, sub { $_->{error} =~ /store/ }), 'acmed starts before a store that it may not read' or $gate->tell;
    like cert_row($gate)->{error}, qr{Permission denied}, 'it is told: ' . cert_row($gate)->{error};
    is served($gate), $old, 'the certificate serves on';
    is orders($ca), 3, 'nothing is ordered';
    chmod $mode, $certs;
    ok wait_row($gate, sub { !$_->{error} }), 'readable again: it gets well by itself' or $gate->tell;
    is orders($ca), 3, 'without an order';

    my $unread = qr{cannot read the list of revoked certificates \S+/store/certs/\.revoked: Too many levels};
    symlink 'nowhere', "$certs/.revoked" or die;
    ok wait_row($gate, sub { ($_->{notes}[0] // '') =~ $unread }), 'a list of revoked certificates that cannot be read: the status tells it'
      or $gate->tell;
    ($code, $said) = $gate->cli('cert', 'renew', 'www.shop.test', '--force');
    is $code, 1, 'nothing is renewed';
    like $said, $unread, 'which is told';
    is served($gate), $old, 'the certificate serves on';
    ok -l "$certs/.revoked", 'it is not replaced';
    unlink "$certs/.revoked";
    ok wait_row($gate, sub { !@{ $_->{notes} // [] } }), 'it can be read: all is well' or $gate->tell;
    is orders($ca), 3, 'without an order';
    $gate->stop_ok;
    $proxy->end;
    $ca->end;
};

# There is room on the disk, so that only the attempt shows it.
subtest 'a quota that is used up' => sub {
    my $ca = Pebble->new;
    my $quota = spew(tmp('quota'), '');
    unlink $quota;
    my $gate = preloaded('quota', { TEST_QUOTA => $quota }, sub { return acme_gate($ca) });
    ok wait_issued($gate), 'issued' or $gate->tell;
    my $old = served($gate);
    spew($quota, '');
    my ($code, $said) = $gate->cli('cert', 'renew', 'www.shop.test', '--force');
    is $code, 1, 'not renewed';
    like $said, qr{cannot write to the store \S+: Disk quota exceeded}, 'for that reason';
    is state_of($gate)->{failures}, 0, 'which is no failure of the CA';
    is orders($ca), 1, 'nothing is ordered';
    is served($gate), $old, 'the certificate serves on';
    my ($acmed) = $gate->pids('acmed');
    kill 'KILL', $acmed;
    ok wait_for { my ($new) = $gate->pids('acmed'); $new && $new != $acmed && cert_row($gate)->{source} eq 'acme' }, 'acmed starts nevertheless' or $gate->tell;
    is served($gate), $old, 'with what was live';
    unlink $quota or die;
    ok wait_row($gate, sub { $_->{error} eq '' && !$_->{busy} }, 60), 'there is room: nothing is wrong' or $gate->tell;
    is +($gate->cli('cert', 'renew', 'www.shop.test', '--force'))[0], 0, 'it is renewed when asked' or $gate->tell;
    isnt served($gate), $old, 'and served';
    $gate->stop_ok;
    $ca->end;
};

subtest 'two on one store' => sub {
    my $ca = Pebble->new;
    my $first = acme_gate($ca);
    ok wait_issued($first), 'the first has its certificate' or $first->tell;
    my $second = acme_gate($ca, store => $first->{store}, listen => '');
    ok $second->wait_log(qr/another pasgate uses it/), 'the second is told so' or $second->tell;
    ok wait_row($second, sub { $_->{error} =~ qr{the store \S+: another pasgate uses it} }), 'and so is its status';
    is served($second), served($first), 'it serves what is there';
    my ($code, $said) = $second->cli('cert', 'renew', 'www.shop.test', '--force');
    is $code, 1, 'but orders nothing';
    is orders($ca), 1, 'one order';
    ($code, $said) = $first->cli('cert', 'renew', 'www.shop.test', '--force');
    is $code, 0, 'the first renews' or diag $said;
    ok wait_for { served($second) eq served($first) }, 'and the second serves that, too';
    $first->stop_ok;
    ok wait_row($second, sub { !$_->{error} }), 'the first has ended: the second takes over' or $second->tell;
    is orders($ca), 2, 'without an order';
    my $from = length $second->log_text;
    is +($second->cli('reload'))[0], 0, 'its own reload';
    ok $second->wait_log(qr/acmed.*ready, starting -> running/, 20, $from), 'brings another acmed';
    unlike substr($second->log_text, $from), qr/another pasgate/, 'which is none';
    $second->stop_ok;
    $ca->end;
};

done_testing;
