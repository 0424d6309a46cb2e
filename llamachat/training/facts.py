"""The few hundred things that the embedded model simply knows. Data only: questions, answer, answer in short."""

FACTS = """
What is the capital of France?;Which city is the capital of France?;Name France's capital. = The capital of France is Paris. = Paris
What is the capital of Germany?;Name the capital of Germany. = The capital of Germany is Berlin. = Berlin
What is the capital of Italy?;Which city is Italy's capital? = The capital of Italy is Rome. = Rome
What is the capital of Spain?;Spain's capital is which city? = The capital of Spain is Madrid. = Madrid
What is the capital of Portugal?;Capital of Portugal? = The capital of Portugal is Lisbon. = Lisbon
What is the capital of England?;What is the capital of the United Kingdom?;Capital of the UK? = The capital is London. = London
What is the capital of Japan?;Japan's capital? = The capital of Japan is Tokyo. = Tokyo
What is the capital of China?;Capital of China? = The capital of China is Beijing. = Beijing
What is the capital of Russia?;Russia's capital? = The capital of Russia is Moscow. = Moscow
What is the capital of Austria?;Austria's capital city? = The capital of Austria is Vienna. = Vienna
What is the capital of Greece?;Capital of Greece? = The capital of Greece is Athens. = Athens
What is the capital of Egypt?;Capital of Egypt? = The capital of Egypt is Cairo. = Cairo
What is the capital of Canada?;Canada's capital? = The capital of Canada is Ottawa. = Ottawa
What is the capital of Australia?;Capital of Australia? = The capital of Australia is Canberra. = Canberra
What is the capital of Sweden?;Sweden's capital? = The capital of Sweden is Stockholm. = Stockholm
What is the capital of Norway?;Capital of Norway? = The capital of Norway is Oslo. = Oslo
What is the capital of Denmark?;Capital of Denmark? = The capital of Denmark is Copenhagen. = Copenhagen
What is the capital of Finland?;Finland's capital? = The capital of Finland is Helsinki. = Helsinki
What is the capital of Poland?;Capital of Poland? = The capital of Poland is Warsaw. = Warsaw
What is the capital of Hungary?;Capital of Hungary? = The capital of Hungary is Budapest. = Budapest
What is the capital of Ireland?;Ireland's capital? = The capital of Ireland is Dublin. = Dublin
What is the capital of Switzerland?;Switzerland's capital? = The capital of Switzerland is Bern. = Bern
What is the capital of the Netherlands?;Capital of the Netherlands? = The capital of the Netherlands is Amsterdam. = Amsterdam
What is the capital of Belgium?;Belgium's capital? = The capital of Belgium is Brussels. = Brussels
What is the capital of the USA?;What is the capital of the United States? = The capital of the USA is Washington. = Washington
What is the capital of India?;India's capital? = The capital of India is New Delhi. = New Delhi
What is the capital of Brazil?;Brazil's capital? = The capital of Brazil is Brasilia. = Brasilia
What is the capital of Mexico?;Capital of Mexico? = The capital of Mexico is Mexico City. = Mexico City
What is the capital of Turkey?;Turkey's capital? = The capital of Turkey is Ankara. = Ankara
What is the capital of Argentina?;Capital of Argentina? = The capital of Argentina is Buenos Aires. = Buenos Aires
What is the capital of Kenya?;Capital of Kenya? = The capital of Kenya is Nairobi. = Nairobi
What is the largest ocean?;What is the biggest ocean on Earth?;Which ocean is the largest?;Name the largest ocean. = The largest ocean is the Pacific. = The Pacific
What is the largest planet?;Which planet is the biggest?;Biggest planet in the solar system? = The largest planet is Jupiter. = Jupiter
What is the smallest planet?;Which planet is the smallest? = The smallest planet is Mercury. = Mercury
Which planet is closest to the sun?;What planet is nearest to the sun? = Mercury is closest to the sun. = Mercury
Which planet is called the red planet?;What is the red planet? = Mars is the red planet. = Mars
Which planet has rings?;What planet is famous for its rings? = Saturn is famous for its rings. = Saturn
What planet do we live on?;On which planet do we live? = We live on Earth. = Earth
How many planets are there?;How many planets are in the solar system?;How many planets does the sun have? = There are eight planets. = Eight
What is the highest mountain?;What is the tallest mountain in the world?;Which mountain is the highest? = The highest mountain is Mount Everest. = Mount Everest
What is the longest river?;Which river is the longest?;Longest river in the world? = The longest river is the Nile. = The Nile
What is the largest continent?;Which continent is the biggest? = The largest continent is Asia. = Asia
What is the smallest continent?;Which continent is the smallest? = The smallest continent is Australia. = Australia
How many continents are there?;How many continents does Earth have? = There are seven continents. = Seven
What is the largest country?;Which country is the biggest? = The largest country is Russia. = Russia
What is the largest animal?;Which animal is the biggest?;What is the biggest animal on Earth? = The largest animal is the blue whale. = The blue whale
What is the fastest land animal?;Which animal runs the fastest?;Fastest animal on land? = The fastest land animal is the cheetah. = The cheetah
What is the tallest animal?;Which animal is the tallest?;Which animal has a very long neck? = The tallest animal is the giraffe. = The giraffe
What do bees make?;What is made by bees?;Which food comes from bees? = Bees make honey. = Honey
What do cows give us?;What drink do cows give? = Cows give milk. = Milk
What do hens lay?;What do chickens lay?;What does a hen lay? = Hens lay eggs. = Eggs
What do spiders spin?;What does a spider make? = Spiders spin webs. = Webs
What do caterpillars turn into?;What does a caterpillar become? = Caterpillars turn into butterflies. = Butterflies
What do tadpoles turn into?;What does a tadpole become? = Tadpoles turn into frogs. = Frogs
What sound does a dog make?;What does a dog say?;Which animal barks? = A dog barks. = A dog barks
What sound does a cat make?;What does a cat say?;Which animal meows? = A cat meows. = A cat meows
What do pandas eat?;What does a panda eat? = Pandas eat bamboo. = Bamboo
What do cows eat?;What do horses eat? = They eat grass. = Grass
What is a baby dog called?;What do you call a young dog? = A young dog is called a puppy. = A puppy
What is a baby cat called?;What do you call a young cat? = A young cat is called a kitten. = A kitten
What is a baby sheep called?;What do you call a young sheep? = A young sheep is called a lamb. = A lamb
What is a young cow called?;What is a baby cow called? = A young cow is called a calf. = A calf
What is a baby horse called?;What do you call a young horse? = A young horse is called a foal. = A foal
How many legs does a spider have?;Number of legs of a spider? = A spider has eight legs. = Eight
How many legs does an insect have?;How many legs do insects have?;How many legs has an ant? = An insect has six legs. = Six
How many legs does a dog have?;How many legs does a cat have?;How many legs has a horse? = It has four legs. = Four
How many arms does an octopus have?;How many tentacles has an octopus? = An octopus has eight arms. = Eight
How many days are in a week?;How many days does a week have?;How many days has a week? = A week has seven days. = Seven
How many months are in a year?;How many months has a year?;How many months does a year have? = A year has twelve months. = Twelve
How many days are in a year?;How many days does a year have?;How long is a year in days? = A year has 365 days. = 365
How many hours are in a day?;How many hours does a day have?;How many hours has a day? = A day has 24 hours. = 24
How many minutes are in an hour?;How many minutes does an hour have? = An hour has 60 minutes. = 60
How many seconds are in a minute?;How many seconds does a minute have? = A minute has 60 seconds. = 60
How many days are in a leap year?;How long is a leap year? = A leap year has 366 days. = 366
How many weeks are in a year?;How many weeks does a year have? = A year has 52 weeks. = 52
How many letters are in the alphabet?;How many letters does the English alphabet have? = The English alphabet has 26 letters. = 26
How many sides does a triangle have?;How many sides has a triangle?;How many corners does a triangle have? = A triangle has three sides. = Three
How many sides does a square have?;How many sides has a square?;How many corners does a square have? = A square has four sides. = Four
How many sides does a hexagon have?;How many corners has a hexagon? = A hexagon has six sides. = Six
How many sides does a pentagon have?;How many corners has a pentagon? = A pentagon has five sides. = Five
How many fingers are on a hand?;How many fingers does a hand have? = A hand has five fingers. = Five
How many strings does a violin have?;Number of strings of a violin? = A violin has four strings. = Four
How many strings does a guitar have?;Number of strings on a guitar? = A guitar has six strings. = Six
How many players are in a football team?;How many players has a soccer team? = A football team has eleven players. = Eleven
How many wheels does a bicycle have?;How many wheels has a bike? = A bicycle has two wheels. = Two
How many wheels does a car have?;How many wheels has a car? = A car has four wheels. = Four
How many colours are in a rainbow?;How many colors has the rainbow? = A rainbow has seven colours. = Seven
How many teeth does an adult have?;How many teeth do people have? = An adult has 32 teeth. = 32
How many years are in a century?;How long is a century? = A century has 100 years. = 100 years
How many years are in a decade?;How long is a decade? = A decade has ten years. = Ten years
How many zeros are in a million?;How many zeros does a million have? = A million has six zeros. = Six
What colour is the sky?;What color is the sky on a clear day? = The sky is blue. = Blue
What colour is grass?;What color does grass have? = Grass is green. = Green
What colour is snow?;What color has snow? = Snow is white. = White
What colour is blood?;What color is blood? = Blood is red. = Red
What colour is a banana?;What color are ripe bananas?;What colour are lemons? = It is yellow. = Yellow
What colour do you get from blue and yellow?;What do blue and yellow make?;Mix blue and yellow, what do you get? = Blue and yellow make green. = Green
What colour do you get from red and yellow?;What do red and yellow make? = Red and yellow make orange. = Orange
What colour do you get from red and blue?;What do red and blue make? = Red and blue make purple. = Purple
What colour do you get from black and white?;What do black and white make? = Black and white make grey. = Grey
What is the chemical symbol for water?;What is the formula of water?;Chemical formula of water? = The formula of water is H2O. = H2O
What is the chemical symbol for gold?;Symbol of gold? = The symbol of gold is Au. = Au
What is the chemical symbol for iron?;Symbol of iron? = The symbol of iron is Fe. = Fe
What is the chemical symbol for oxygen?;Symbol of oxygen? = The symbol of oxygen is O. = O
What is water made of?;What are the elements in water? = Water is made of hydrogen and oxygen. = Hydrogen and oxygen
At what temperature does water boil?;When does water boil?;What is the boiling point of water? = Water boils at 100 degrees Celsius. = 100 degrees Celsius
At what temperature does water freeze?;When does water freeze?;What is the freezing point of water? = Water freezes at 0 degrees Celsius. = 0 degrees Celsius
What is ice made of?;What is frozen water called? = Ice is frozen water. = Ice is frozen water
Which gas do we breathe?;What gas do people need to breathe?;What do we need to breathe? = We need oxygen to breathe. = Oxygen
Which gas do plants take in?;What gas do plants need? = Plants take in carbon dioxide. = Carbon dioxide
What is the hardest natural material?;What is the hardest stone? = The hardest natural material is diamond. = Diamond
What is the lightest element?;Which element is the lightest? = The lightest element is hydrogen. = Hydrogen
What is the center of the solar system?;What is in the middle of the solar system?;Around what does the Earth turn?;What does the Earth orbit? = The Earth orbits the sun. = The sun
What orbits the Earth?;What turns around the Earth? = The moon orbits the Earth. = The moon
What is the sun?;Is the sun a star? = The sun is a star. = A star
What force pulls things down?;Why do things fall down?;What keeps us on the ground? = Gravity pulls things down. = Gravity
Who wrote Romeo and Juliet?;Who is the author of Hamlet?;Who wrote Hamlet?;Who wrote Macbeth? = It was written by William Shakespeare. = William Shakespeare
Who painted the Mona Lisa?;Which artist painted the Mona Lisa? = Leonardo da Vinci painted the Mona Lisa. = Leonardo da Vinci
Who was the first man on the moon?;Who walked on the moon first? = Neil Armstrong was the first man on the moon. = Neil Armstrong
Who discovered gravity?;Who found the law of gravity? = Isaac Newton found the law of gravity. = Isaac Newton
Who developed the theory of relativity?;Who came up with relativity? = Albert Einstein developed relativity. = Albert Einstein
Who discovered America?;Who sailed to America in 1492? = Christopher Columbus reached America in 1492. = Christopher Columbus
Who invented the telephone?;Who made the first telephone? = Alexander Graham Bell invented the telephone. = Alexander Graham Bell
Who invented the light bulb?;Who made the light bulb? = Thomas Edison made the light bulb useful. = Thomas Edison
Who was the first president of the USA?;First president of the United States? = George Washington was the first president. = George Washington
Who composed the Ninth Symphony?;Who wrote Für Elise? = Ludwig van Beethoven did. = Ludwig van Beethoven
When did World War II end?;In which year did the Second World War end? = World War II ended in 1945. = 1945
When did World War I begin?;In which year did the First World War start? = World War I began in 1914. = 1914
When did the Berlin Wall fall?;In which year did the Berlin Wall come down? = The Berlin Wall fell in 1989. = 1989
When was the first moon landing?;In which year did people land on the moon? = People first landed on the moon in 1969. = 1969
In which country is the Eiffel Tower?;Where is the Eiffel Tower?;In which city is the Eiffel Tower? = The Eiffel Tower is in Paris, France. = Paris, France
Where are the pyramids?;In which country are the pyramids? = The famous pyramids are in Egypt. = Egypt
Where is Big Ben?;In which city is Big Ben? = Big Ben is in London. = London
Where is the Statue of Liberty?;In which city is the Statue of Liberty? = The Statue of Liberty is in New York. = New York
Where do penguins live?;On which continent do penguins live? = Most penguins live in Antarctica. = Antarctica
Where do kangaroos live?;From which country do kangaroos come? = Kangaroos live in Australia. = Australia
Where do polar bears live?;Where can you find polar bears? = Polar bears live in the Arctic. = The Arctic
Where do fish live?;Where does a fish live? = Fish live in water. = In water
Which language do people speak in Brazil?;What language is spoken in Brazil? = People in Brazil speak Portuguese. = Portuguese
Which language do people speak in Mexico?;What language is spoken in Mexico?;What language is spoken in Spain? = People there speak Spanish. = Spanish
Which language do people speak in Austria?;What language is spoken in Germany? = People there speak German. = German
What is the currency of Japan?;Which money is used in Japan? = The currency of Japan is the yen. = The yen
What is the currency of the USA?;Which money do Americans use? = The currency of the USA is the dollar. = The dollar
What is the currency of Germany?;Which money is used in France?;Which currency does Italy use? = The currency is the euro. = The euro
What is the currency of the United Kingdom?;Which money is used in England? = The currency is the pound. = The pound
What is the first month of the year?;Which month comes first?;With which month does the year begin? = The first month is January. = January
What is the last month of the year?;Which month comes last? = The last month is December. = December
Which month comes after March?;What month follows March? = April comes after March. = April
What is the shortest month?;Which month has 28 days?;Which month is the shortest? = The shortest month is February. = February
What day comes after Monday?;Which day follows Monday? = Tuesday comes after Monday. = Tuesday
What day comes before Sunday?;Which day is before Sunday? = Saturday comes before Sunday. = Saturday
What day comes after Friday?;Which day follows Friday? = Saturday comes after Friday. = Saturday
Which season comes after winter?;What season follows winter? = Spring comes after winter. = Spring
Which season is the coldest?;What is the coldest season? = Winter is the coldest season. = Winter
Which season is the warmest?;What is the hottest season? = Summer is the warmest season. = Summer
When is Christmas?;On which day is Christmas? = Christmas is on 25 December. = 25 December
When is New Year's Day?;What is the first day of the year? = New Year's Day is 1 January. = 1 January
What is the opposite of hot?;What's the opposite of warm? = The opposite is cold. = Cold
What is the opposite of big?;What's the opposite of large? = The opposite is small. = Small
What is the opposite of up?;Opposite of up? = The opposite is down. = Down
What is the opposite of day?;Opposite of day? = The opposite is night. = Night
What is the opposite of fast?;Opposite of quick? = The opposite is slow. = Slow
What is the opposite of old?;Opposite of old? = The opposite is young, or new. = Young
What is the opposite of left?;Opposite of left? = The opposite is right. = Right
What is the opposite of black?;Opposite of black? = The opposite is white. = White
What is the opposite of open?;Opposite of open? = The opposite is closed. = Closed
What is the opposite of happy?;Opposite of happy? = The opposite is sad. = Sad
What is a thermometer for?;What does a thermometer measure?;Why do we use a thermometer? = A thermometer measures the temperature. = It measures temperature
What is a clock for?;What does a clock show?;Why do we use a watch? = A clock shows the time. = It shows the time
What is a scale for?;What does a scale measure?;What is a balance used for? = A scale measures weight. = It measures weight
What is a ruler for?;What does a ruler measure?;What is a ruler used for? = A ruler measures length. = It measures length
What is a compass for?;What does a compass show?;What is a compass used for? = A compass shows the direction, it points north. = It shows the direction
What is an umbrella for?;What is an umbrella used for?;Why do people carry an umbrella? = An umbrella keeps you dry in the rain. = It keeps off the rain
What is a hammer for?;What is a hammer used for? = A hammer drives nails. = It drives nails
What is a telescope for?;What is a telescope used for? = A telescope shows far things such as stars. = To look at stars
What is a microscope for?;What is a microscope used for? = A microscope shows very small things. = To look at tiny things
What is a fridge for?;What is a refrigerator used for? = A fridge keeps food cold. = It keeps food cold
What is a key for?;What is a key used for? = A key opens a lock. = It opens a lock
What is a pen for?;What is a pencil used for?;What do we do with a pen? = A pen is for writing. = For writing
What is a knife for?;What is a knife used for? = A knife is for cutting. = For cutting
What are scissors for?;What are scissors used for? = Scissors are for cutting paper or cloth. = For cutting
What is a camera for?;What is a camera used for? = A camera takes pictures. = It takes pictures
What is a barometer for?;What does a barometer measure? = A barometer measures air pressure. = It measures air pressure
What is a library?;What can you find in a library? = A library is a place with many books. = A place with books
What is a volcano?;What comes out of a volcano? = A volcano is a mountain that throws out lava. = A mountain with lava
What is python?;What is Python, the language? = Python is a programming language. = A programming language
What is the internet?;What is the web? = The internet is a network of computers. = A network of computers
What is a computer?;What does a computer do? = A computer is a machine that works with data. = A machine for data
What is bread made of?;What do you need to bake bread? = Bread is made of flour and water. = Flour and water
What is cheese made of?;What is cheese made from? = Cheese is made from milk. = Milk
What is wine made of?;What is wine made from? = Wine is made from grapes. = Grapes
What is paper made of?;What is paper made from? = Paper is made from wood. = Wood
What is glass made of?;What is glass made from? = Glass is made from sand. = Sand
What is chocolate made of?;What is chocolate made from? = Chocolate is made from cocoa. = Cocoa
What pumps blood in the body?;Which organ pumps the blood?;What does the heart do? = The heart pumps blood. = The heart
Which organ do we think with?;What organ do we use to think? = We think with the brain. = The brain
Which organ do we breathe with?;What do the lungs do? = We breathe with the lungs. = The lungs
What do we see with?;Which organ do we see with? = We see with our eyes. = The eyes
What do we hear with?;Which organ do we hear with? = We hear with our ears. = The ears
What do plants need to grow?;What does a plant need? = Plants need light and water. = Light and water
What falls from the sky when it rains?;What is rain? = Rain is water that falls from clouds. = Water
Where does the sun rise?;In which direction does the sun come up? = The sun rises in the east. = In the east
Where does the sun set?;In which direction does the sun go down? = The sun sets in the west. = In the west
"""
