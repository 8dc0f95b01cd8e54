# A wish that could not be written is tried again until it is.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use Test::More;

my $pas  = PasGate::StandIn->new('pas1');
my $gate = PasGate->new(backends => [$pas]);
$gate->cli('drain', 'pas1');
my ($file) = wait_for { (grep { -e } map { "$gate->{dir}/$_/wishes" } 'store-state', 'store/state')[0] };
ok $file, 'a wish is written';
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
like slurp($file), qr/pas1\tmaint/, 'with the wish';
ok wait_for { $gate->status->{wishes_saved} }, 'the status says so';
($code, $out) = $gate->cli('ready', 'pas1');
unlike $out, qr/cannot be stored/, 'the next command too';
$gate->stop_ok;
done_testing;
