"""Secrets by the shapes that their issuers document: facts from their public documents, each expression our own."""

import re
from collections.abc import Iterator

_UUID = r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"

SHAPES = (
    # Model vendors
    r"sk-[A-Za-z0-9_-]{16,}|[ps]k-lf-[A-Za-z0-9-]{20,}",  # OpenAI, Anthropic and others that copied the shape; Langfuse
    r"(?:xai|pplx|csk|nvapi|tvly)-[A-Za-z0-9_-]{20,}|ABSK[A-Za-z0-9+/]{60,}|(?:hf|gsk|r8|jina)_[A-Za-z0-9]{30,}|fw_[A-Za-z0-9]{22,}",
    r"pcsk_[A-Za-z0-9]{4,}_[A-Za-z0-9]{40,}",
    r"api_org_[A-Za-z]{20,}|lsv2_(?:pt|sk)_[0-9A-Fa-f]{32}_[0-9A-Fa-f]{10}",
    # Our own API keys
    r"oct_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{16,}",
    rf"tgp_v[0-9]_[A-Za-z0-9_-]{{40,}}|ctx7sk-{_UUID}|e2b_[0-9a-f]{{40}}|apify_api_[A-Za-z0-9]{{30,}}|tr_(?:dev|prod|stg)_[A-Za-z0-9]{{20,}}",
    # Payments
    r"(?:sk|rk|pk)_(?:live|test|prod|dev)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=_-]{16,}|rzp_(?:live|test)_[A-Za-z0-9]{14,}",
    r"(?:sk_org|mk|bb|cal|ck)_(?:live|test)_[A-Za-z0-9]{20,}|[xyztuv]prv[A-Za-z0-9]{100,}",
    r"sq0[a-z]{3}-[A-Za-z0-9_-]{20,}|EAAA[A-Za-z0-9_-]{50,}|FLW(?:SEC|PUB)K(?:_TEST)?-[0-9A-Za-z-]{12,}",
    rf"access-(?:sandbox|development|production)-{_UUID}|access_token\$(?:production|sandbox)\$[0-9a-z]{{16}}\$[0-9A-Fa-f]{{32}}",
    r"(?:live|test)_(?:pub_)?[0-9A-Fa-f]{35}\b|(?:live|test)_(?:auth_)?[0-9a-f]{32}\b|shippo_(?:live|test)_[0-9A-Fa-f]{40}|EZ[AT]K[A-Za-z0-9]{40,}|duffel_(?:test|live)_[A-Za-z0-9_=-]{40,}",
    # Clouds
    r"(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b|(?:FwoGZXIvYXdz|IQoJb3JpZ2lu)[A-Za-z0-9+/=]{60,}|amzn\.mws\." + _UUID,
    r"AIza[A-Za-z0-9_-]{35}|GOCSPX-[A-Za-z0-9_-]{20,}|ya29\.[A-Za-z0-9_-]{20,}|1//0[A-Za-z0-9_-]{30,}",
    r"[A-Za-z0-9_~.]{2,3}[0-9]Q~[A-Za-z0-9_~.-]{30,}|[A-Za-z0-9_-]+AzFu[A-Za-z0-9_-]{6,}=*|[A-Za-z0-9]{52,80}AZDO[A-Za-z0-9]{4}",
    r"LTAI[A-Za-z0-9]{12,}|AKID[A-Za-z0-9]{30,}|AKLT[A-Za-z0-9+/=_-]{20,}|SCW[A-Z0-9]{17}\b|do[opr]_v1_[0-9A-Fa-f]{40,}",
    r"t1\.[A-Za-z0-9_-]+={0,2}\.[A-Za-z0-9_-]{86}|AQVN[A-Za-z0-9_-]{35,}|y[0-3]_[A-Za-z0-9_-]{50,}|YC[A-Za-z0-9_-]{38}\b",
    rf"HRKU-{_UUID}|HRKU-[A-Za-z0-9_-]{{30,}}|nfp_[A-Za-z0-9]{{30,}}|vercel_blob_rw_[A-Za-z0-9_]{{20,}}|v1\.0-[0-9A-Fa-f]{{24}}-[0-9A-Fa-f]{{100,}}",
    r"fo1_[A-Za-z0-9_-]{30,}|fm[12][ar]?_[A-Za-z0-9+/=_-]{30,}|sbp_[0-9A-Fa-f]{40}|sb_(?:secret|publishable)_[A-Za-z0-9_-]{20,}",
    r"pscale_(?:tkn|pw|oauth|app)_[A-Za-z0-9_.=-]{30,}|napi_[A-Za-z0-9]{40,}|xau_[A-Za-z0-9]{30,}|tk-us-[A-Za-z0-9_-]{40,}",
    r"hv[sbr]\.[A-Za-z0-9_-]{20,}|[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{50,}|pul-[0-9A-Fa-f]{40}|sha256~[A-Za-z0-9_-]{40,}",
    r"dp\.(?:pt|st|sa|ct|scim|audit)\.[A-Za-z0-9_.-]{30,}|ops_eyJ[A-Za-z0-9+/_=-]{60,}|A3-[A-Z0-9]{6}-(?:[A-Z0-9]{5,6}-?){4,6}",
    r"dapi[0-9A-Fa-f]{32}(?:-[0-9])?\b|tskey-[a-z]{2,10}-[A-Za-z0-9-]{12,}|dnkey-[A-Za-z0-9_=-]{26,}",
    r"c(?:fut|fat|fk)_[A-Za-z0-9]{40,}|vc[aikpr]_[A-Za-z0-9]{24,}|nf[bcou]_[A-Za-z0-9]{36,}|sbp_v[0-9]_[0-9a-f]{40}|rpa_[A-Z0-9]{40,}",
    r"bedrock-api-key-[A-Za-z0-9+/=]{20,}|4b1d[A-Za-z0-9]{38}\b|A3T[A-Z0-9]{17}\b|d(?:ose|kea)[0-9a-f]{32}\b|mdb_sa_sk_[A-Za-z0-9_-]{30,}",
    r"[A-Za-z0-9]{50,56}JQQJ9[A-Za-z0-9]{20,32}|AstraCS:[A-Za-z0-9]{20,}:[0-9a-f]{64}|SWMTKN-1-[0-9a-z]{40,}-[0-9a-z]{20,}",
    # Code and packages
    r"gh[pousr]_[A-Za-z0-9]{20,}|ghs_[A-Za-z0-9]+_eyJ[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|github_pat_[A-Za-z0-9_]{20,}|GR1348941[A-Za-z0-9_-]{20}",
    r"gl(?:pat|dt|rt|rtr|cbt|ptt|agent|soat|ft|imt|ffct|wt|oas)-[A-Za-z0-9_-]{20,}(?:\.[a-z0-9]{2,})*",
    r"ATATT3x[A-Za-z0-9_=-]{30,}|ATCTT3x[A-Za-z0-9_=-]{30,}|ATBB[A-Za-z0-9_=.-]{24,}|ATTA[0-9A-Fa-f]{64}|BBDC-[A-Za-z0-9+/@_-]{40,}",
    r"npm_[A-Za-z0-9]{36}|pypi-AgE[A-Za-z0-9_-]{50,}|dckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}|rubygems_[0-9A-Fa-f]{48}|oy2[a-z0-9]{43}",
    r"CLOJARS_[a-z0-9]{60}|AKCp[A-Za-z0-9]{60,}|cmVmdGtu[A-Za-z0-9]{50,}|sgp_(?:(?:[0-9A-Fa-f]{16}|local)_)?[0-9A-Fa-f]{40}|slk_[0-9A-Fa-f]{60,}",
    r"CCI(?:PAT|PRJ)_[A-Za-z0-9]{15,}_[0-9A-Fa-f]{40}|bk[a-z]{2}_[0-9A-Fa-f]{36,}|sq[uap]_[0-9A-Fa-f]{40}|API-[A-Z0-9]{25,}\b",
    r"pn[ub]_[A-Za-z0-9]{36}|perm[:-][A-Za-z0-9=]+\.[A-Za-z0-9=]+\.[A-Za-z0-9]{20,}|ico-[A-Za-z0-9]{32}\b|ovh_[a-z]{2}_[A-Za-z0-9]{20,}",
    rf"(?:sdk|mob|api)-{_UUID}|[ps]at\.[A-Za-z0-9_-]{{22}}\.[0-9a-zA-Z]{{24}}\.[A-Za-z0-9]{{20}}|rdme_[a-z0-9]{{60,}}",
    # Watching and analytics
    r"gls[ac]_[A-Za-z0-9+/_=-]{30,}|glc_[A-Za-z0-9+/_=-]{30,}|eyJrIjoi[A-Za-z0-9]{60,}={0,3}|(?:NRAK|NRAL|NRRA|NRJS|NRII|NRIQ|NRSP)-[A-Za-z0-9_-]{18,}",
    r"(?:[0-9A-Fa-f]{36}|eu01xx[0-9a-f]{30})NRAL\b|NRAA-[0-9a-f]{27}\b|sntry[su]_[A-Za-z0-9+/=_-]{40,}|dt0[a-z][0-9]{2}\.[A-Z0-9]{24}\.[A-Z0-9]{60,}|ph[cxsr]_[A-Za-z0-9_-]{36,}",
    r"[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk|hc[a-z]ik_[A-Za-z0-9]{50,}",
    # Identity: Ory, Inngest, Zuplo, Authress, PASETO's encrypted tokens
    r"ory_[a-z]{2,3}_[A-Za-z0-9_-]{30,}|signkey-[a-z]+-[0-9a-f]{64}|zpka_[A-Za-z0-9_]{30,}|v[1-4]\.local\.[A-Za-z0-9_-]{60,}",
    r"(?:sc|ext|scauth|authress)_[a-z0-9]{5,30}\.[a-z0-9]{4,6}\.acc[_-][a-z0-9-]{8,32}\.[A-Za-z0-9+/_=-]{30,}",
    # Offices, messages, mail
    r"open\.(?:feishu\.cn|larksuite\.com)/open-apis/bot/v2/hook/[0-9a-f-]{36}|outlook\.office(?:365)?\.com/webhook/[A-Za-z0-9@/_-]{30,}",
    r"events\.pagerduty\.com/integration/[0-9A-Za-z]{32}|maker\.ifttt\.com/trigger/[^\s/]+/(?:json/)?with/key/[A-Za-z0-9_-]{20,}",
    rf"hc-ping\.com/{_UUID}|fc-[0-9a-f]{{32}}\b|aio_[A-Za-z0-9]{{28}}\b|rnd_[A-Za-z0-9]{{28,}}|unkey_[A-Za-z0-9]{{20,}}|sk_[0-9a-f]{{40,}}|mlsn\.[0-9a-f]{{64}}",
    r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}(?:[+/%=][A-Za-z0-9+/%=-]*)?|xapp-[A-Za-z0-9-]{20,}|hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_+-]{20,}",
    r"discord(?:app)?\.com/api/(?:v[0-9]{1,2}/)?webhooks/[0-9]{6,}/[A-Za-z0-9_-]{20,}|[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}",
    r"[a-z0-9-]+\.webhook\.office\.com/[A-Za-z0-9@/_-]{30,}|hooks\.zapier\.com/hooks/catch/[A-Za-z0-9/_-]{6,}|hook\.[a-z0-9]+\.make\.com/[A-Za-z0-9]{20,}",
    r"chat\.googleapis\.com/v1/spaces/[A-Za-z0-9_-]+/messages\?[A-Za-z0-9_=&%-]{30,}|hooks\.[a-z0-9.-]+/hooks/[a-z0-9]{26}\b",
    r"(?:bot)?[0-9]{8,10}:AA[A-Za-z0-9_-]{33}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|key-[0-9A-Fa-f]{32}\b|(?:AC|SK)[0-9A-Fa-f]{32}\b",
    r"[0-9A-Fa-f]{32}-us[0-9]{1,2}\b|xkeysib-[0-9A-Fa-f]{40,}-[A-Za-z0-9]{10,}|re_[A-Za-z0-9]{8}_[A-Za-z0-9]{24}\b|[0-9A-Fa-f]{32}-[0-9A-Fa-f]{8}-[0-9A-Fa-f]{8}\b",
    r"lin_(?:api|oauth)_[A-Za-z0-9]{30,}|(?:ntn|secret)_[A-Za-z0-9]{40,}|pat[A-Za-z0-9]{14}\.[0-9A-Fa-f]{64}|PMAK-[0-9a-f-]{50,}|fig[dour]_[A-Za-z0-9_-]{36,}",
    r"[0-9]/[0-9]{13,}(?:/[0-9]{13,})?:[0-9A-Fa-f]{32}|CFPAT-[A-Za-z0-9_-]{40,}|[sp]k\.eyJ[A-Za-z0-9_-]{50,}\.[A-Za-z0-9_-]{20,}|tfp_[A-Za-z0-9_.=-]{40,}",
    rf"pat-(?:na|eu|ap)[0-9]-{_UUID}|waka_{_UUID}|fio-u-[A-Za-z0-9_=-]{{60,}}|sl\.(?:u\.)?[A-Za-z0-9_-]{{60,}}|p8e-[a-z0-9]{{32}}\b",
    # Shops and social networks
    r"shp(?:at|ca|pa|ss|ua|tka)_[A-Za-z0-9]{32,}|EAA[A-Za-z0-9]{30,}|[0-9]{14,17}\|[A-Za-z0-9_-]{26,}|A{21,}[A-Za-z0-9]{5,}[%=][A-Za-z0-9%=+]{30,}|IG[A-Z]{2,4}[A-Za-z0-9_-]{50,}",
    r"AGE-SECRET-KEY-1[A-Z0-9]{50,}|s-s4t2(?:ud|af)-[0-9A-Fa-f]{64}|sm_(?:pat|aat|sat)_[A-Za-z0-9]{16,}",
    # Since 2024: model vendors and those who watch them
    r"pylf_v[0-9]_[a-z]{2,8}_[A-Za-z0-9]{20,}|wandb_v[0-9]_[A-Za-z0-9_]{40,}|llx-[A-Za-z0-9]{40,}|esecret_[A-Za-z0-9]{20,}|sk_car_[A-Za-z0-9]{20,}",
    r"AQ\.Ab8[A-Za-z0-9_-]{40,}|crsr_[0-9a-f]{40,}|dtn_[0-9a-f]{60,}|key_[0-9a-f]{64}\b|bb_(?:live|test)_[A-Za-z0-9_-]{20,}|bt-st-[A-Za-z0-9]{40,}",
    # Databases, registries, CI
    rf"CCDB1_[A-Za-z0-9]{{20,}}_[A-Za-z0-9]{{30,}}|aivenv1_[A-Za-z0-9+/=_-]{{40,}}|xa[ap]t-{_UUID}|chpt_[0-9a-f]{{12,}}|p\.eyJ[A-Za-z0-9_-]{{20,}}\.[A-Za-z0-9_-]{{20,}}",
    r"sktsec_[A-Za-z0-9_-]{20,}|snyk_[us]at\.[A-Za-z0-9]{8}\.[A-Za-z0-9._-]{20,}|packagist_[a-z]{3}_[0-9a-f]{60,}|depot_[a-z]{3,8}_[0-9a-f]{40,}",
    rf"st\.[0-9a-f]{{20,}}\.[0-9a-f]{{30,}}\.[0-9a-f]{{30,}}|0\.{_UUID}\.[A-Za-z0-9]{{28,}}:[A-Za-z0-9+/=]{{22,}}|(?:prod|dev|preview):[a-z0-9-]{{3,40}}\|[A-Za-z0-9+/=]{{40,}}",
    # Since 2025, by the rules of gitleaks, betterleaks and TruffleHog
    r"jca_[A-Za-z0-9]{36}\b|(?:alcht|ddapp|kpat|spat|pina|vtwn|lip|samsara_api)_[A-Za-z0-9]{20,}|dbt[uc]_[A-Za-z0-9_-]{40,}|ucat_[A-Z0-9]{26}\b",
    r"AIK_(?:CI|SECRET)_[A-Za-z0-9]{20,}|aact_(?:prod|hmlg)_[A-Za-z0-9_-]{20,}|cnvca[A-Za-z0-9_-]{40,}|csa_[A-Za-z0-9]{36,}",
    r"apk_(?:user_)?[A-Za-z0-9+/=_-]{40,}|cog_[a-z2-7]{40,}|sgamp_user_[A-Za-z0-9]{20,}_[0-9a-f]{40,}|rootly_[0-9a-f]{40,}|cflt[A-Za-z0-9+/]{56,}",
    r"SWMKEY-1-[A-Za-z0-9+/]{40,}|configcat-sdk-1/[A-Za-z0-9_-]{20,}/[A-Za-z0-9_-]{20,}|bce-v3/ALTAK-[A-Za-z0-9]{16,}/[0-9a-f]{40}",
    r"ramp_sec_[A-Za-z0-9]{40,}|api_live(?:_us|_ca)?\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{30,}|na1\.[A-Za-z0-9+/]{60,}",
    r"vc[aikpr]_[A-Za-z0-9_-]{40,}|ATSTT3x[A-Za-z0-9_=-]{30,}|endr\+[A-Za-z0-9-]{16,}|ion_[A-Za-z0-9]{42}\b|STS\.[A-Za-z0-9]{24,}",
    # Sales, mail, messages
    r"polar_[a-z]{2,3}_[A-Za-z0-9]{30,}|pdl_(?:(?:live|sdbx)_apikey|ntfset)_[A-Za-z0-9_+/]{20,}|os_v2_(?:app|org)_[a-z0-9]{60,}|xsmtpsib-[0-9A-Fa-f]{40,}-[A-Za-z0-9]{10,}",
    r"tkn\.v1_[A-Za-z0-9+/=]{30,}|pk_[0-9]{6,12}_[A-Z0-9]{32}\b|1000\.[0-9a-f]{32}\.[0-9a-f]{32}\b|00D[A-Za-z0-9]{12,15}![A-Za-z0-9._]{60,}",
    # By the issuers' documents of 2025 and 2026
    rf"luma-{_UUID}(?:-{_UUID})?|sk_(?:sbox_[a-z0-9]{{20,}}|{_UUID})|standard_[0-9a-f]{{128,}}|cu_[0-9a-f]{{32}}\b|nyk_v0_[A-Za-z0-9]{{40,}}",
    r"xnd_(?:production|development|public_[a-z]+)_[A-Za-z0-9]{20,}|(?:SB-)?Mid-(?:server|client)-[A-Za-z0-9_-]{16,}|skey_(?:test_)?[a-z0-9]{19,}\b",
    r"bk(?:ua|aa|aj|ar|ct|pt|pat|ps)_[A-Za-z0-9_-]{40,}|bit[pw]at_[A-Za-z0-9_-]{40,}|EXO[0-9a-f]{24}\b|isat_[A-Za-z0-9]{30,}|PMAT-[A-Z0-9]{26}\b",
    r"dG9rOm[A-Za-z0-9+/]{40,}={0,2}|pk_[0-9a-f]{34}\b|(?:PRD|SBX)-[0-9a-f]{12}(?:-[0-9a-f]{4}){4}\b|live_gsk_[A-Za-z0-9]{20,}",
    r"(?:development|production|staging)\.[0-9a-f]{40,}|[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{6}:[A-Za-z0-9_-]{40,}",
    r"v[1-4]\.public\.[A-Za-z0-9_-]{60,}|MDA[A-Za-z0-9]{3}xvY2F0aW9u[A-Za-z0-9+/_=-]{20,}|[A-Za-z0-9+/]{22}==:[A-Za-z0-9]{32}\b",
    r"secret-token:[A-Za-z0-9._~%+=/:-]{8,}",  # RFC 8959
    r"nsec1[ac-hj-np-z02-9]{58}\b|6P[A-Za-km-z1-9]{56}\b|VF\.(?:DM|WS)\.[0-9a-f]{24}\.[A-Za-z0-9]{16,}",
    rf"RGAPI-{_UUID}|px-dep-{_UUID}|flb_(?:live|test)_[A-Za-z0-9]{{20,}}|shltm_[A-Za-z0-9]{{30,}}|KGAT_[0-9a-f]{{32}}\b",
    r"plainApiKey_[0-9a-f]{40,}|BB(?:FF|US)-[A-Za-z0-9]{30,}|arc_[A-Za-z0-9]{40,}",
    # Azure's keys, which hold the sign of their service; a storage account's and a database's are base64
    r"[A-Za-z0-9]{33}AzCa[A-Za-z0-9+/]{6}=|[A-Za-z0-9]{42}AzSe[A-Za-z0-9]{6}\b|[A-Za-z0-9+/]{42}\+ACR[A-Za-z0-9+/]{6}",
    r"[A-Za-z0-9+/]{76}\+ASt[A-Za-z0-9+/]{6}==|[A-Za-z0-9+/]{76}\+ABa[A-Za-z0-9+/]{6}==|[A-Za-z0-9+/]{76}ACDb[A-Za-z0-9+/]{6}==",
    r"[A-Za-z0-9+/]{76}APIM[A-Za-z0-9+/]{6}==|[A-Za-z0-9+/]{33}AIoT[A-Za-z0-9+/]{6}=|[A-Za-z0-9+/]{33}\+A(?:Sb|Eh|Rm)[A-Za-z0-9+/]{6}=",
    # A registry's logins in base64, as Kubernetes holds them, and a browser's key for realtime models
    r"(?:eyJhdXRocyI6|ewogICJhdXRocyI6|ewoJImF1dGhzIjo)[A-Za-z0-9+/]{20,}={0,2}|insecure-api-key\.[A-Za-z0-9_-]{20,}",
    # Keys in the path of a chain's node and of a hook
    r"alchemy(?:api)?\.(?:com|io)/(?:nft/)?v[23]/[A-Za-z0-9_-]{20,}|infura\.io/(?:ws/)?v3/[0-9a-f]{32}\b|quiknode\.pro/[0-9a-f]{32,}",
    r"p2pify\.com/[0-9a-f]{32}\b|tines\.com/webhook/[0-9a-f]{32}/[0-9a-f]{32}\b",
)
_STEP = re.compile(r"\\.|\[[^\]]*\]|[()|]")


def alternatives(row: str) -> Iterator[str]:
    """The shapes of a row. RE2 finds a short pattern by its words; of a long one it gives up to look for them."""
    depth = begun = 0
    for step in _STEP.finditer(row):
        depth += (step.group() == "(") - (step.group() == ")")
        if step.group() == "|" and not depth:
            yield row[begun : step.start()]
            begun = step.end()
    yield row[begun:]


# Issuers whose beginning other words have too: `credentials.random` decides by the rest.
SHORT_PREFIXES = (
    r"(?:pa|ak|as|app|dataset|m0|tly|secret(?:-(?:live|test))?)-[A-Za-z0-9_-]{20,}=?|"
    r"(?:up|svix|gal|mint|mxb|pat|ak|cr|jsr[pd]|dd[opw]|sm|sk|essu|secret|live|test|AVNS|tss|prf)_[A-Za-z0-9_.-]{20,}|"
    r"(?:oak|uak|creem|mergify_application_key|mercury_production|persona_production|dvc_(?:server|client|mobile))_[A-Za-z0-9_-]{20,}|"
    r"(?:KEY0|BSA|cio|fnA)[A-Za-z0-9_-]{25,}|[0-9]{1,7}\|[A-Za-z0-9]{40,48}\b"
)
