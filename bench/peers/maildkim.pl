# Signs and verifies with Mail::DKIM on command; see ../peer.go for the protocol.
# Usage: perl maildkim.pl KEY-PEM RECORD-FILE DOMAIN SELECTOR
use strict; use warnings;
use Time::HiRes qw(clock_gettime CLOCK_PROCESS_CPUTIME_ID); use Net::DNS; use Mail::DKIM::Signer; use Mail::DKIM::Verifier; use Mail::DKIM::PrivateKey;

my ($keyfile, $recordfile, $domain, $selector) = @ARGV;
sub slurp { open my $f, '<:raw', $_[0] or die "$_[0]: $!"; local $/; return scalar <$f> }
my $record = slurp($recordfile);
my $answer = Net::DNS::RR->new(owner => "$selector._domainkey.$domain", type => 'TXT', txtdata => [unpack '(a255)*', $record]);
{ no warnings 'redefine'; *Mail::DKIM::DNS::query = sub { return $answer }; }
my $key = Mail::DKIM::PrivateKey->load(File => $keyfile);
sub cpu { return clock_gettime(CLOCK_PROCESS_CPUTIME_ID) }

$| = 1;
while (my $line = <STDIN>) {
  my ($what, $path, $count, $out) = split ' ', $line;
  my @chunks = unpack '(a65535)*', slurp($path);
  my @made;
  my $begin = cpu();
  my $ok = eval {
    for (1 .. $count) {
      my $d = $what eq 'sign'
        ? Mail::DKIM::Signer->new(Algorithm => 'rsa-sha256', Method => 'relaxed/relaxed', Domain => $domain, Selector => $selector, Key => $key)
        : Mail::DKIM::Verifier->new;
      $d->PRINT($_) for @chunks;
      $d->CLOSE;
      if ($what eq 'sign') { push @made, $d->signature->as_string }
      elsif ($d->result ne 'pass') { die $d->result_detail . "\n" }
    }
    1;
  };
  my $used = cpu() - $begin;
  if (!$ok) { my $e = $@; $e =~ s/\s+/ /g; print "err $e\n"; next }
  if ($what eq 'sign') {
    open my $o, '>:raw', $out or die "$out: $!";
    for (@made) { s/\r?\n/\r\n/g; print $o $_, "\0" }
    close $o;
  }
  printf "ok %.6f\n", $used;
}
