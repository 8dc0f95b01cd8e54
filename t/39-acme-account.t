#!/usr/bin/perl
# The account at the CA in trouble: closed there, its key unreadable or damaged, another address
# for mail, new terms of service. The words name the cause and what helps; no key is lost.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use FaultProxy;
use PasGate;
use Pebble;
use Test::More;

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

my $ca = Pebble->new;
my $heard = tmp('heard');
my $proxy = FaultProxy->new($ca,
    [qr{^/my-account/}, 0, sub {
        spew($heard, slurp($heard) . $_[0]{body} . "\n");
        return unless -e tmp('no-contact');
        return "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nConnection: close\r\n\r\n"
          . '{"type":"urn:ietf:params:acme:error:invalidContact","detail":"no such mailbox","status":400}';
    }],
    [qr{^/order-plz}, 0, sub {
        return unless -e tmp('terms');
        return "HTTP/1.1 403 Forbidden\r\nContent-Type: application/problem+json\r\nConnection: close\r\n\r\n"
          . '{"type":"urn:ietf:params:acme:error:userActionRequired","detail":"Terms of service have changed",'
          . '"instance":"https://ca.test/agree?token=W8Ih3PswD-8","status":403}';
    }]);
my $gate = acme_gate($ca, directory => $proxy->directory, acme => 'email = "first@shop.test"; staging = "off"; challenges = [ "http-01" ];');
ok wait_issued($gate), 'issued' or $gate->tell;
my ($account) = glob "$gate->{store}/accounts/*";

# What `cert renew --force` says, on one line.
sub renew
{
    my ($code, $out) = $gate->cli('cert', 'renew', 'www.shop.test', '--force');
    return "$code: " . $out =~ s/\s+/ /gr;
}

subtest 'terms that a person must agree to' => sub {
    spew(tmp('terms'), '');
    like renew(), qr{^1: .*requires a person to act, such as accepting new terms of service; open the page that it names \(userActionRequired: Terms of service have changed; see https://ca\.test/agree\?token=W8Ih3PswD-8\)},
        'where they are is told';
    unlink tmp('terms');
};

subtest 'another address for mail' => sub {
    my $config = slurp($gate->{conf});
    unlike slurp($heard), qr/mailto:/, 'nothing is told that the CA knows';
    spew($gate->{conf}, $config =~ s/first\@shop/second\@shop/r);
    is +($gate->cli('reload'))[0], 0, 'another one, a reload';
    ok wait_for { slurp($heard) =~ /mailto:second\@shop\.test/ }, 'the CA is told' or $gate->tell;
    ok $gate->wait_log(qr/the CA has the current acme\.email/), 'and the log says so';
    spew($heard, '');
    $gate->stop_ok;
    $gate->start;
    like renew(), qr/^0: /, 'after a restart, an order';
    is slurp($heard), '', 'which does not tell it again';
    spew(tmp('no-contact'), '');
    spew($gate->{conf}, $config =~ s/first\@shop/third\@shop/r);
    is +($gate->cli('reload'))[0], 0, 'one that the CA refuses, a reload';
    ok $gate->wait_log(qr/refused acme\.email, so the account keeps its contact: set another one \(no such mailbox\)/), 'the log says what to do'
      or $gate->tell;
    unlink tmp('no-contact');
    spew($gate->{conf}, $config =~ s/email = "\S+";//r);
    is +($gate->cli('reload'))[0], 0, 'none any more, a reload';
    ok $gate->wait_log(qr/email removed at the CA, because acme\.email was removed/), 'the log says that the CA has none' or $gate->tell;
};

subtest 'a key that is damaged, or cannot be read' => sub {
    my $key = slurp("$account/key.pem");
    for my $case (['is damaged', sub { spew("$account/key.pem", substr $key, 0, 60) }],
        ['cannot be read: ', sub { unlink "$account/key.pem"; symlink '/dev/null', "$account/key.pem" }]) {
        my ($words, $break) = @$case;
        $gate->stop_ok;
        $break->();
        $gate->start;
        my $of_no_use = qr{the account's key \S+/key\.pem \Q$words\E};
        ok wait_row($gate, sub { ($_->{notes}[0] // '') =~ /^$of_no_use.*move it away/ }), 'the status has it before an order needs it' or $gate->tell;
        like +($gate->cli('status'))[1] =~ s/\s+/ /gr, qr/certificate www\.shop\.test: $of_no_use/, 'all is not well';
        ok $gate->wait_log($of_no_use), 'the log has it';
        my $said = renew();
        like $said, qr{^1: .*the account's key \S+/key\.pem \Q$words\E.*; restore it from a backup, or move it away}, $words;
        like +($gate->cli('cert', 'deactivate', '--force'))[1] =~ s/\s+/ /gr, qr{key\.pem \Q$words\E.*move it away}, 'deactivate says what to do';
        isnt slurp("$account/key.pem"), $key, 'and it is not replaced';
        like slurp("$account/key.pem"), $words =~ /damaged/ ? qr/^-----BEGIN/ : qr/^$/, 'by another one';
        unlink "$account/key.pem";
        spew("$account/key.pem", $key);
        chown +(stat $account)[4, 5], "$account/key.pem";
        chmod 0600, "$account/key.pem";
        ok wait_row($gate, sub { !grep { /the account's key/ && !/last try/ } @{ $_->{notes} } }), 'it is back: so it is told no more' or $gate->tell;
        like renew(), qr/^0: /, 'and the next try succeeds';
    }
};

subtest 'an account that is closed at the CA' => sub {
    my @files = map { [$_, slurp($_), (stat $_)[4, 5]] } "$account/key.pem", "$account/account";
    is +($gate->cli('cert', 'deactivate', '--force'))[0], 0, 'closed';
    $gate->stop_ok;
    for (@files) { spew($_->[0], $_->[1]); chown @$_[2, 3], $_->[0] }    # as if somebody else had done so
    $gate->start;
    like renew(), qr{^1: .*the account is closed at the CA \(.+\): `pasgate cert deactivate --force` forgets it here, and the next order creates a new one}, 'the words name cause and remedy';
    like +($gate->cli('cert', 'list', 'www.shop.test'))[1] =~ s/\s+/ /gr, qr/the account is closed at the CA/, 'cert list, too';
    my ($code, $out) = $gate->cli('cert', 'deactivate', '--force');
    is $code, 0, 'and that command works' or diag $out;
    is slurp("$account/closed.pem"), $files[0][1], 'the old key is laid aside';
    like renew(), qr/^0: /, 'another account is made';
    isnt slurp("$account/key.pem"), $files[0][1], 'with another key';
};

$gate->stop_ok;
$proxy->end;
$ca->end;
done_testing;
