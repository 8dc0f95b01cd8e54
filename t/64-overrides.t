# An admin override that could not be written, or read at a start, is tried again until it is.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

my $pas  = PasGate::StandIn->new('pas1');
my $gate = PasGate->new(backends => [$pas]);
$gate->cli('drain', 'pas1');
my ($file) = wait_for { (grep { -e } map { "$gate->{dir}/$_/wishes" } 'store-state', 'store/state')[0] };
ok $file, 'an override is written';
my ($folder) = $file =~ m{(.*)/};
wait_for { slurp($file) =~ /pas1\tdrain/ };

my $from = length $gate->log_text;
chmod 0777, $folder;    # others may write there: it is not used
my ($code, $out) = $gate->cli('maint', 'pas1');
is $code, 0, 'it holds';
like $out, qr/this cannot be stored and is lost if the service restarts; storing is retried every 5 s/, 'the command says that it cannot be stored';
ok !$gate->status->{wishes_saved}, 'so does the status';
ok $gate->wait_log(qr/admin overrides cannot be written/, undef, $from), 'the log says that one is not';
unlike slurp($file), qr/maint/, 'it is not';
chmod 0700, $folder;
ok $gate->wait_log(qr/admin overrides are written again/, undef, $from), 'it is written when that can be done';
like slurp($file), qr/pas1\tmaint/, 'with the override';
ok wait_for { $gate->status->{wishes_saved} }, 'the status says so';
($code, $out) = $gate->cli('ready', 'pas1');
unlike $out, qr/cannot be stored/, 'the next command too';

# A start while the disk fails: the file is not lost.
my $admin = sub { $gate->status->{backends}[0]{admin} };
$gate->cli('drain', 'pas1');
ok wait_for { slurp($file) =~ /^pas1\tdrain/m }, 'a drain is stored';
$gate->stop_ok;
my $broken = spew(tmp('broken'), '');
$from = length $gate->log_text;
preloaded('eio', { TEST_EIO => 'wishes', TEST_EIO_WHILE => $broken }, sub {
    local $gate->{no_probe} = 1;
    $gate->start;
});
ok $gate->wait_log(qr{\Q$file\E: cannot be read: Input/output error; its admin overrides are not in force, and new ones are not stored; retried every 5 s}, undef, $from),
  'it cannot be read at a start';
is $admin->(), 'ready', 'so it is not in force';
ok -e $file && !-e "$file.bad", 'but the file stays';
is +($gate->cli('reload'))[0], 0, 'over a reload';
like slurp($file), qr/^pas1\tdrain/m, 'too';
unlink $broken or die $!;
ok wait_for { $admin->() eq 'drain' }, 'it is in force when it can be read';
ok $gate->wait_log(qr/\Q$file\E: could be read now/, undef, $from), 'the log says so';
like +($gate->cli('why', 'pas1'))[1], qr/ operator +ready +-> drain/, 'so does why';
my $told = () = substr($gate->log_text, $from) =~ /cannot be read/g;
is $told, 1, 'and it said once that it could not';
like slurp($file), qr/^pas1\tdrain/m, 'the file has it still';
$gate->stop_ok;
done_testing;
