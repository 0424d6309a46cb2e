"""Word lists of the generators, split into train and val by a stable hash, so that val names are never trained on."""

import hashlib
from typing import Literal

Split = Literal["train", "val"]
HELD_OUT = 15  # per cent of names and of phrasings

_LISTS = {
    "person": """Ada Alan Alice Amara Amir Ana Anders Anika Anton Aisha Astrid Aurora Bella Ben Bianca Bjorn Boris Bruno Carla
Carlos Carmen Cedric Chloe Clara Claude Cora Cyrus Daisy Dana Daniel Daria David Diana Diego Dora Edgar Edith Eli Elena
Elias Elin Ella Emil Emma Enzo Erik Eva Fabio Farah Fatima Felix Fiona Flora Frank Freya Gabriel Gemma George Gina Grace
Greta Gustav Hana Hannah Hans Harald Hassan Hector Heidi Helen Henry Hugo Ida Igor Ines Ingrid Irene Iris Isaac Ivan Jack
Jamal James Jana Jasper Jenny Joao Joel Johan John Jonas Jose Julia Julian June Kai Kamal Karim Karl Kate Keiko Kenji Klara
Kofi Lara Lars Laura Layla Lea Lena Leo Leon Lian Lina Linus Lisa Liv Luca Lucas Lucy Luis Luna Magnus Maja Malik Marco
Maria Marie Mark Marta Martin Mary Mateo Max Maya Mei Mia Mika Milan Mila Mina Mira Mona Nadia Naomi Nico Nils Nina Noah
Nora Oliver Olga Omar Oscar Otto Pablo Paul Paula Pedro Petra Pia Priya Quinn Rafael Rania Ravi Rita Robert Rosa Ruth Sam
Samir Sara Selma Simon Sofia Stella Sven Tariq Tara Theo Thea Tim Tina Tom Tomas Uma Vera Victor Viola Walter Wanda Yara
Yusuf Yuki Zara Zoe Mr.Lee Mrs.Brown""",
    "city": """Aachen Aarhus Amman Ankara Antwerp Athens Atlanta Austin Bergen Berlin Bern Bilbao Bogota Boston Bremen Brno
Bristol Brussels Budapest Cairo Calgary Cardiff Chicago Cologne Copenhagen Cork Cusco Dakar Dallas Delhi Denver Dijon Dresden
Dublin Dubai Durban Edinburgh Essen Florence Geneva Genoa Ghent Glasgow Gothenburg Granada Hamburg Hanoi Havana Helsinki
Houston Innsbruck Istanbul Izmir Kampala Kiel Kobe Krakow Kyoto Lagos Leeds Leipzig Lima Linz Lisbon Liverpool London Lyon
Madrid Malaga Malmo Manila Marseille Melbourne Miami Milan Montreal Mumbai Munich Nairobi Nantes Naples Nice Odense Osaka Oslo
Oxford Palermo Paris Perth Porto Prague Quito Riga Rome Rotterdam Salzburg Santiago Seattle Seoul Seville Sofia Split
Stockholm Stuttgart Sydney Taipei Tallinn Tampere Tokyo Toronto Trieste Tromso Tunis Turin Turku Utrecht Valencia Venice
Verona Vienna Vilnius Warsaw Zagreb Zurich""",
    "noun": """account address album alarm animal apartment appointment article artist asset badge ball bank basket beach bench
bicycle bill bird blanket boat book booking bottle bowl box branch bread bridge broadcast budget building bus cabin cable cake
calendar camera campaign candle candidate car card carpet case castle chair channel chapter chart cinema circuit claim class
client clinic clock cloud coat coffee coin colour comment company concert contact contract cottage counter course crate
currency customer dance deck deposit desk device dinner dish document door drawer drill driver drone duty email employee
engine episode event exam excursion exhibit fabric factory farm fence ferry festival field file film filter fish flag
flight floor flower folder forest fork form fountain frame freezer fridge fruit fund game garage garden gate ghost gift glass
glove goal grade grant group guest guitar habit hall hammer harbour hat heater helmet hike holiday horse hospital hotel
house ice image invoice island item jacket job journal journey key kitchen kite ladder lake lamp language laptop lawn league
lecture lemon lens lesson letter level library licence lift link list loan lock log lunch machine magazine mail map market
match meal medal meeting member memo menu message meter microphone mirror model money monitor mortgage motor mountain museum
network newsletter note notebook novel office oil opera order oven package page paint painting parcel park parking party
passport patient payment pen permit phone photo piano picture pillow pipe plane plant plate platform player playlist plug poem
policy pond pool port post poster printer prize product profile project pump puzzle quilt quiz quote rack radio recipe record
refund region rental repair report reservation restaurant review ring river road robot roof room rope route rug sale salary
sample school score screen seat sensor server shelf ship shirt shop shuttle signal skill sofa song speaker spoon sport
station statue stock storm story street student subscription suitcase supplier surgery survey switch table task tax taxi team
telescope tent test ticket tide timer tool topic tour towel tower toy track train translation tree trip truck tunnel umbrella
unit vaccine van vault vehicle video village violin visa visit voucher wallet warehouse watch wheel window wine workshop yacht
zone""",
    "adjective": """amber annual arctic big blue bold brave bright bronze calm cheap clean clear cold cosy crimson curly daily dark
digital double early eastern electric empty fast final first formal fresh gentle giant glad golden grand green grey happy
heavy hidden hollow honest huge icy indoor jolly large late lazy light little local long loud lucky mellow mild misty modern
monthly narrow national neat new noble northern old open orange outdoor pale plain polite private proud public purple quick
quiet rapid rare red rich round royal rusty sandy sharp shiny short silent silver simple sleepy slow small smart smooth
snowy soft solar southern spare square steady strong sunny sweet swift tall tame tidy tiny top urban vast velvet warm weekly
western white wide wild wise wooden yellow young""",
    "thing": """apples bananas pears plums grapes figs melons carrots onions potatoes beans peas tomatoes peppers eggs cookies
biscuits sandwiches pizzas muffins pens pencils books notebooks stamps coins marbles stickers cards balloons candles flowers
roses tulips trees bricks tiles nails screws boxes bags bottles jars cups plates spoons chairs tables lamps tickets tokens
badges shirts socks hats gloves scarves shoes buttons ribbons beads shells stones feathers toys kites balls bikes cars
buses rooms pages letters parcels photos posters batteries cables phones laptops chocolates sweets lemons oranges""",
    "food": """Italian Thai Mexican Greek Indian Japanese Korean Lebanese Turkish Spanish Ethiopian Vietnamese Peruvian French
Chinese Moroccan vegan vegetarian seafood Persian Polish Cuban""",
    "animal": """cat dog horse cow sheep goat pig duck goose hen frog toad newt fox wolf bear lion tiger panda koala otter seal
whale shark trout salmon eagle owl crow robin swan crane heron badger hare rabbit mouse squirrel beaver moose elk camel zebra""",
    "room": """kitchen bedroom bathroom hallway garage attic cellar study office lounge nursery pantry balcony terrace
conservatory laundry library workshop garden porch""",
    "weekday": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "month": "January February March April May June July August September October November December",
    "verb": """get find fetch list show check read create add make book order send set start stop open close update change
delete remove cancel rename move copy count track rate pay share save load play pause lock unlock enable disable
schedule register archive approve reject submit print export import translate convert search lookup query measure scan reserve
buy sell lend borrow return assign invite notify post publish hide pin tag merge split sort reset restart renew upload""",
    "word": """able above across again agree alone among apple arrow atlas autumn bacon baker banjo barrel basil beacon berry
blossom border bottle breeze bubble bucket butter button cactus canal candy canyon carbon cedar cello chalk cherry cinnamon
circle clover cobalt comet copper coral cotton cradle crystal daisy dancer desert diamond dolphin dragon dusk eagle echo
ember engine fable falcon feather fennel fern fiddle flame flint forest fossil galaxy garlic ginger glacier granite gravel
harbor harvest hazel heather hollow honey horizon ivory jasmine jungle juniper kettle kingdom ladder lagoon lantern
lavender lemon lilac lizard lobster magnet mango maple marble meadow melody meteor mint mirror mosaic moss needle nutmeg
oasis ocean olive onyx opal orchard otter oyster paddle panther paper parrot pebble pepper pillow pine planet plaza pollen
pocket prairie puzzle quartz quiver rabbit rainbow raven ribbon ripple rocket saddle saffron sailor salmon sapphire shadow
silver sparrow spice spiral spruce summer sunset temple thistle thunder timber topaz tulip tundra turtle valley vanilla velvet
violet walnut willow winter wizard yogurt zephyr""",
    "filename": """sales orders expenses scores students inventory temperatures visits trips payments members results grades
stock readings hours donations runs bills survey races books guests shipments tasks budget weights costs votes steps""",
}

_ONSETS = "b br c ch cl d dr f fl g gr h j k kl l m n p pl pr qu r s sh sk st t th tr v w z".split()
_VOWELS = "a e i o u ai ea ee ia o oo ou y".split()
_CODAS = "b ck d f g l ll m n nd ng nt p r rd rn s sk ss st t x".split() + [""] * 12


def held_out(text: str) -> bool:
    """Whether ``text`` belongs to val: by the SHA-1 of it in lower case, the same on every machine and in every run."""
    digest = hashlib.sha1(text.lower().encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < HELD_OUT


def split_of(kind: str, split: Split) -> tuple[str, ...]:
    """The words of list ``kind`` that ``split`` may use. Closed classes (weekdays, months, verbs) belong to both."""
    words = tuple(word.replace(".", ". ") for word in _LISTS[kind].split())
    if kind in CLOSED:
        return words
    return tuple(word for word in words if held_out(word) == (split == "val"))


CLOSED = frozenset({"weekday", "month", "verb", "food", "animal", "room", "filename"})
"""Classes whose members the model should simply know; they are in both splits."""
KINDS = tuple(_LISTS)


def all_words() -> str:
    """Every word of every list, for the tokenizer's training text."""
    return "\n".join(_LISTS.values())


def syllables() -> tuple[list[str], list[str], list[str]]:
    """Onsets, vowels and codas of pseudo-words."""
    return _ONSETS, _VOWELS, _CODAS
