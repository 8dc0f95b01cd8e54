#!/usr/bin/perl
# dns-01 by the operator's hook: each record is published once, also over a failure of the hook
# and a crash of acmed, and all are taken away again; what is wrong with the hook is said where
# an operator looks; and the hook finds what its documentation promises.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use PasGate;
use Pebble;
use Test::More;

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

use constant NAMES => 30;

my $ca = Pebble->new;

# A hook that publishes with this CA's DNS and notes each call in $told; $more comes first.
sub hook
{
    my ($name, $more) = @_;
    my $told = tmp("$name.told");
    my $hook = spew(tmp($name), <<"END");
#!/bin/sh
$more
case \$PASGATE_EVENT in
dns-put)  body="{\\"host\\":\\"\$PASGATE_DNS_TARGET.\\",\\"value\\":\\"\$PASGATE_DNS_VALUE\\"}" what=set-txt ;;
dns-drop) body="{\\"host\\":\\"\$PASGATE_DNS_TARGET.\\"}" what=clear-txt ;;
*)        exit 0 ;;
esac
curl -sf -d "\$body" http://127.0.0.1:$ca->{dns_management}/\$what || exit 9
echo "\$PASGATE_EVENT \$PASGATE_DNS_NAME \$PASGATE_DNS_VALUE" >>$told
END
    chmod 0755, $hook;
    spew($told, '');
    chmod 0666, $told;
    return ($hook, sub { my ($event) = @_; return grep { /^$event / } split /\n/, slurp($told) });
}

# These without the event.
sub records { return [sort map { s/^\S+ //r } @_] }

sub restart
{
    my ($gate) = @_;
    $gate->stop_ok;
    change_state($gate, next_try => 1);
    $gate->start;
}

subtest 'thirty names, one failure and one crash' => sub {
    my $orders = $ca->said(qr/Added order/);
    my $broken = spew(tmp('broken'), '');
    # Taking a record away takes a while: that must not make anybody forget the others.
    my ($hook, $told) = hook('many', <<"END");
[ \$PASGATE_EVENT != dns-drop ] || sleep 0.1
if [ -e $broken -a \$PASGATE_EVENT = dns-put ] && [ \$(wc -l <@{[tmp('many.told')]}) -ge 10 ]; then
    printf 'first\\nthe provider\\033[31m says no\\n'
    exit 7
fi
if [ -e @{[tmp('stuck')]} -a "\$PASGATE_EVENT" = dns-put ]; then sleep 60; fi
END
    my $gate = acme_gate($ca, names => ['*.dns.test', map { "n$_.dns.test" } 2 .. NAMES],
        acme => qq(hook = "$hook"; challenges = [ "dns-01" ];));
    ok wait_row($gate, sub { ($_->{failures} // 0) == 1 }), 'the hook fails once' or $gate->tell;
    my $says = qr/acme\.hook failed at dns-put for (?:n\d+\.)?dns\.test: exit code 7: the provider\S*31m says no/;
    like cert_row($gate)->{error}, qr/^$says$/, 'the status says where and why, in its own words';
    for (['status'], ['cert', 'list']) {
        my ($code, $out) = $gate->cli(@$_);
        like $out =~ s/\s+/ /gr, qr/acme\.hook failed at dns-put/, "`pasgate @$_` does";
        unlike $out, qr/\e/, '  and nothing moves the cursor';
    }
    ok $gate->wait_log(qr/hook: the provider\\x1b\[31m says no/), 'its output is in the log, escaped';
    my @put = $told->('dns-put');
    is scalar(@put), 10, 'some names are published';
    is scalar($told->('dns-drop')), 0, 'and stay, since the order can be gone on with';

    unlink $broken;
    spew(tmp('stuck'), '');
    restart($gate);
    ok $gate->wait_log(qr/continues its order/), 'the next try begins';
    kill 'KILL', $gate->pids('acmed');
    unlink tmp('stuck');
    ok wait_issued($gate), 'acmed is killed, and yet it comes' or $gate->tell;
    is $ca->said(qr/Added order/) - $orders, 1, 'of one order';
    is verified($gate, $ca, 'n20.dns.test'), '', 'and is served';
    ok wait_for(sub { $told->('dns-drop') >= NAMES }, 60), 'all records are taken away' or diag scalar $told->('dns-drop');
    @put = $told->('dns-put');
    is scalar(@put), NAMES, 'each was published once';
    is_deeply records($told->('dns-drop')), records(@put), 'and those that were, once';
    my ($left) = glob "$gate->{store}/orders/*/records";
    ok wait_for { !-e ($left // '/none') }, 'nothing is left to be done';
    $gate->stop_ok;
};

subtest 'what the hook finds' => sub {
    my $found = spew(tmp('found'), '');
    chmod 0666, $found;
    my ($hook) = hook('finds', <<"END");
[ \$PASGATE_EVENT != issued ] || { echo "\$(id -u)|\$HOME|\$USER|\$LOGNAME|\$(pwd)|\$PASGATE_NAMES|\$#" >$found
yes 'a line' | head -n 300
printf '%5000s\\n' long
exit 3; }
END
    my $gate = acme_gate($ca, names => ['finds.test'], acme => qq(hook = "$hook"; challenges = [ "dns-01" ];));
    ok wait_issued($gate), 'a certificate' or $gate->tell;
    ok wait_for { slurp($found) =~ /\n/ }, 'the hook hears of it';
    my ($uid) = slurp($found) =~ /^(\d+)/;
    my ($user, $home) = (getpwuid $uid)[0, 7];
    is slurp($found), "$uid|$home|$user|$user|/|finds.test|0\n", 'at home where its user is, in /, with no argument';
    my $note = sub { join "\n", @{ cert_row($gate)->{notes} // [] } };
    ok wait_for { $note->() =~ /^acme\.hook failed at "issued": exit code 3: /m }, 'that it failed is a note' or diag $note->();
    like +($gate->cli('cert', 'list'))[1] =~ s/\s+/ /gr, qr/acme\.hook failed at "issued": exit code 3/, 'for people, too';
    is scalar(() = $gate->log_text =~ /hook: a line/g), 100, 'a hundred lines of it are logged';
    is cert_row($gate)->{error}, '', 'with the certificate nothing is wrong';

    unlink $hook;
    # Pebble takes the proof of an order before in one of a hundred cases, though asked not to.
    my $code = 0;
    for (1 .. 3) { ($code) = $gate->cli('cert', 'renew', 'finds.test', '--force') if !$code }
    is $code, 1, 'without its hook it is not renewed';
    like cert_row($gate)->{error}, qr/^acme\.hook failed at dns-put for finds\.test: No such file or directory$/, 'the status says why';
    kill 'KILL', $gate->pids('acmed');
    ok wait_for { $note->() =~ /^acme\.hook \Q$hook\E cannot be run: No such file/m }, 'and before it is needed, a note' or diag $note->();
    $gate->stop_ok;
};

subtest 'a certificate that leaves the configuration' => sub {
    my ($hook, $told) = hook('leaves', <<"END");
[ \$PASGATE_EVENT != dns-put ] || [ \$(wc -l <@{[tmp('leaves.told')]}) -eq 0 ] || exit 1
END
    my %more = (acme => qq(hook = "$hook"; challenges = [ "dns-01" ];), store => tmp('store-leaves'));
    my $gate = acme_gate($ca, names => ['one.leaves.test', 'two.leaves.test'], %more);
    ok wait_row($gate, sub { ($_->{failures} // 0) == 1 }), 'one record is published, the other one is not' or $gate->tell;
    my @put = $told->('dns-put');
    is scalar(@put), 1, 'it stays';
    $gate->stop_ok;
    my %alone = (certs => '{ names = [ "other.test" ]; self_signed = true; }', store => $more{store});
    $gate = acme_gate($ca, %alone);
    ok $gate->wait_log(qr/one\.leaves\.test is no longer in the configuration; 2 TXT records of it stay in DNS because acme\.hook is not set/),
      'without the hook it stays, and the log says so' or $gate->tell;
    $gate->stop_ok;
    spew($_, "failures=many\n") for glob "$gate->{store}/orders/*/state";
    $gate = acme_gate($ca, %alone, acme => $more{acme});
    ok $gate->wait_log(qr{orders/\S+/state in the store is damaged; past failures}), 'a damaged state is reported' or $gate->tell;
    ok wait_for { $told->('dns-drop') >= 1 }, 'when nobody goes on with the order, it is taken away' or $gate->tell;
    ok wait_for { my @left = glob "$gate->{store}/orders/*/records"; !@left }, 'which is written down';
    ok scalar(grep { records($_)->[0] eq records($put[0])->[0] } $told->('dns-drop')), 'that one';
    $gate->stop_ok;
};

subtest 'a CNAME, and a record that is late' => sub {
    # At the alias nothing can be published: the CA follows it, and so does the hook. What the
    # provider shows late is waited for, before the CA is told.
    $ca->dns('set-cname', { host => '_acme-challenge.alias.test.', target => 'txt.other.test.' });
    my ($hook, $told) = hook('alias', <<"END");
if [ \$PASGATE_EVENT = dns-put ]; then
    echo "at \$PASGATE_DNS_NAME \$PASGATE_DNS_TARGET" >>@{[tmp('alias.told')]}
    (exec >/dev/null 2>&1; sleep 3
     curl -sf -d "{\\"host\\":\\"\$PASGATE_DNS_TARGET.\\",\\"value\\":\\"\$PASGATE_DNS_VALUE\\"}" http://127.0.0.1:$ca->{dns_management}/set-txt) &
    exit 0
fi
END
    my $gate = acme_gate($ca, names => ['alias.test'], acme => qq(hook = "$hook"; challenges = [ "dns-01" ]; dns_wait = "1m";));
    ok wait_issued($gate), 'it comes' or $gate->tell;
    is_deeply [$told->('at')], ['at _acme-challenge.alias.test txt.other.test'], 'the hook is told where the record belongs';
    unlike $gate->log_text, qr/not ordered/, 'at once: the CA is not told before the record can be seen';
    is_deeply cert_row($gate)->{notes} // [], [], 'there is nothing to tell';
    ok wait_for { $told->('dns-drop') }, 'and taken away';
    like +($told->('dns-drop'))[0], qr/^dns-drop _acme-challenge\.alias\.test /, 'there';
    $gate->stop_ok;
};

subtest 'a record that is not to be seen' => sub {
    # The hook says yes and does nothing: it is looked for, then the CA decides.
    my ($hook) = hook('none', '[ $PASGATE_EVENT != dns-put ] || exit 0');
    my $gate = acme_gate($ca, names => ['none.test'], acme => qq(hook = "$hook"; challenges = [ "dns-01" ]; dns_wait = "1s";));
    ok wait_row($gate, sub { ($_->{failures} // 0) == 1 }), 'the CA does not see it either' or $gate->tell;
    ok $gate->wait_log(qr/the TXT record at _acme-challenge\.none\.test was not visible within 1 s \(acme\.dns_wait\); the CA: /), 'which is said, with the setting';
    ok $gate->wait_log(qr/check the zone of _acme-challenge\.none\.test, where a CNAME there leads to, and what acme\.hook publishes/), 'and where to look';
    $gate->stop_ok;
};

$ca->end;
done_testing;
