# A drain that could not be written because the disk was full is written when there is room, and
# what was stored before is whole all the while.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

# The disk is a small tmpfs, in a mount namespace of this test.
if (!$ENV{PASGATE_TEST_FULL}) {
    $ENV{PASGATE_TEST_FULL} = "$> " . ($) + 0);
    exec 'unshare', ($> ? '-Urm' : '-m'), '--', $^X, $0 or die "unshare: $!";
}
# As root of that namespace only, it could not become another user.
my ($user, $group) = split ' ', delete $ENV{PASGATE_TEST_FULL};
if ($user) {
    my $real = PasGate::binary();
    PasGate::sanitized();
    $ENV{PASGATE} = spew(tmp('as-user'), "#!/bin/sh\nexec unshare -U --map-user=$user --map-group=$group -- $real \"\$@\"\n");
    chmod 0755, $ENV{PASGATE};
}

my @pas  = map { PasGate::StandIn->new("pas$_") } 1 .. 3;
my $gate = PasGate->new(backends => \@pas);
$gate->cli('drain', 'pas1');
my ($file) = wait_for { (grep { -e } map { "$gate->{dir}/$_/wishes" } 'store-state', 'store/state')[0] };
ok $file, 'an override is written';
my ($folder) = $file =~ m{(.*)/};
my ($uid, $gid) = (stat $folder)[4, 5];
my ($code, $said) = run_cmd('mount', '-t', 'tmpfs', '-o', "mode=0700,uid=$uid,gid=$gid,size=64k", 'tmpfs', $folder);
is $code, 0, 'a small disk' or die $said;
is +($gate->cli('drain', 'pas2'))[0], 0, 'another drain';
ok wait_for { slurp($file) =~ /^pas2\tdrain/m }, 'it is stored there';
my $before = slurp($file);

my $filler = "$folder/filler";
open my $out, '>', $filler or die "$filler: $!";
1 while syswrite $out, "\0" x 4096;
ok $!{ENOSPC}, 'the disk is full';
my $from = length $gate->log_text;
($code, $said) = $gate->cli('maint', 'pas1');
is $code, 0, 'maint holds';
like $said, qr/this cannot be stored and is lost if the service restarts; storing is retried every 5 s/, 'the command says that it is not stored';
ok $gate->wait_log(qr/admin overrides cannot be written and are lost at a restart of the service: No space left on device/, undef, $from), 'the log says why';
ok !$gate->status->{wishes_saved}, 'so does the status';
is slurp($file), $before, 'what was stored is whole';
is $gate->status->{backends}[0]{admin}, 'maint', 'the override is in force';

my $told = sub { return scalar(() = substr($gate->log_text, $from) =~ /admin overrides cannot be written/g) };
ok !(wait_for { $gate->status->{wishes_saved} } 7), 'nobody says otherwise after another try';
is $told->(), 1, 'and told once';
is slurp($file), $before, 'what was stored is whole still';
close $out;
unlink $filler or die "$filler: $!";
ok $gate->wait_log(qr/admin overrides are written again/, undef, $from), 'it is written when there is room';
like slurp($file), qr/^pas1\tmaint.*^pas2\tdrain/ms, 'with all overrides';
ok wait_for { $gate->status->{wishes_saved} }, 'the status says so';
is join(' ', map { s{.*/}{}r } glob "$folder/*"), 'wishes', 'nothing else is left there';
is $told->(), 1, 'no other line was logged meanwhile';
$gate->stop_ok;
$gate->start;
is join(' ', map { $_->{admin} } @{ $gate->status->{backends} }), 'maint drain ready', 'all of it holds after a restart';
$gate->stop_ok;
is +(run_cmd('umount', $folder))[0], 0, 'the disk is gone';
done_testing;
